"""How a chain runs: pure Python on LangChain, with no Django, HTTP or users."""
