"""Verbs: everything that involves several models, or starts a run."""
