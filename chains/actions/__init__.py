"""Verbs: everything that crosses models."""
