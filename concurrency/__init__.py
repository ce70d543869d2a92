"""Helpers for asynchronous code; this package imports nothing of ChainHub."""
