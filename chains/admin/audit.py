"""Texts of changes for the admin's history: each changed field with its old and its new value."""

from typing import Any

from django import forms
from django.db.models import QuerySet

MAX_CHARS = 200


def changes(form: forms.BaseForm, *, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """Return ``field: 'before' → 'after'`` for each field of the form that has changed."""
    texts = (
        (form[name].label, _text(form[name].initial), _text(form.cleaned_data.get(name)))
        for name in form.changed_data
        if name not in leave_out
    )
    # Cleaning may have made what was typed into what was there before.
    return [f"{label}: {before} → {after}" for label, before, after in texts if before != after]


def _text(value: Any) -> str:
    if isinstance(value, QuerySet | list):
        value = ", ".join(sorted(str(item) for item in value))
    text = repr(value)
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
