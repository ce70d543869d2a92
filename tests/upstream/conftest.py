"""The scripted provider's own tests run where their file is asked for by name, as `.ci/run` does."""

collect_ignore = ["test_upstream.py"]
