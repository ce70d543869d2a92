"""How a change reads in the admin's history: what each field was, and what it became."""

from typing import Any

from django import forms
from django.db.models import QuerySet

MAX_CHARS = 200


def changes(form: forms.BaseForm, *, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """``field: 'before' → 'after'`` for each field of the form that changed."""
    return [
        f"{form[name].label}: {_text(form[name].initial)} → {_text(form.cleaned_data.get(name))}"
        for name in form.changed_data
        if name not in leave_out
    ]


def _text(value: Any) -> str:
    if isinstance(value, QuerySet | list):
        value = ", ".join(sorted(str(item) for item in value))
    text = repr(value)
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
