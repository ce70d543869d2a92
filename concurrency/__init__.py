"""What asynchronous code needs of this process: it knows nothing of ChainHub."""
