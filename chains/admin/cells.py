"""Form fields that several kinds of rows use."""

from typing import Any

from django import forms

from chains.runtime.names import NAME_PATTERN

NAME_HELP = "Letters, digits and _, not beginning with a digit."

VERBATIM = {"spellcheck": "false", "autocomplete": "off", "autocapitalize": "off"}
"""Attributes of inputs for names and other code: the browser corrects and completes nothing in them."""


def name_field(**kwargs: Any) -> forms.RegexField:
    return forms.RegexField(
        NAME_PATTERN,
        max_length=64,
        error_messages={"invalid": NAME_HELP},
        widget=forms.TextInput(attrs=VERBATIM),
        **kwargs,
    )


class TemplateField(forms.CharField):
    """A text with ``{name}`` variables. It is stored as typed, but with LF instead of a form's CRLF."""

    def __init__(self, **kwargs: Any):
        attrs = {"class": "template", "rows": 4, "spellcheck": "true"}
        super().__init__(**{"strip": False, "widget": forms.Textarea(attrs=attrs), **kwargs})

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")
