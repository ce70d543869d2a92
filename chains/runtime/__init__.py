"""Runs chains: pure Python on LangChain, without Django, HTTP requests or users."""
