"""What an operator says of any chain: who may run it, and what its callers find."""

from typing import Any

from django import forms
from django.utils.html import format_html

from chains.models import Chain
from chains.models.chains import ENDPOINTS
from chains.runtime.wire.config import CONFIG_KEYS

ENDPOINT_TEXTS = {
    "invoke": "one input, one answer",
    "batch": "many inputs, all answers at once",
    "stream": "the answer while it is written",
    "stream_events": "the answer and what is inside",
    "stream_log": "the same as changes to a log",
    "input_schema": "what it takes",
    "output_schema": "what it answers",
    "config_schema": "what callers may choose",
    "playground": "the page to try it on",
    "feedback": "callers judge their runs",
}
CONFIG_TEXTS = {
    "configurable": "what this chain lets them choose",
    "tags": "words that are seen beside each step",
    "metadata": "data that is seen beside each step",
    "recursion_limit": "how deep calls may nest",
    "max_concurrency": "how much at once in a run",
}

CALLER_FIELDS = ("endpoints", "config_keys", "expose_steps", "system_messages")
ACCESS_FIELDS = ("enabled", "access", "groups")


def named_choices(names: tuple[str, ...], texts: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, format_html("<code>{}</code> {}", name, texts[name])) for name in names]


class CallersForm(forms.ModelForm):
    """``endpoints`` are those that are on; the record holds the others."""

    endpoints = forms.MultipleChoiceField(
        choices=named_choices(ENDPOINTS, ENDPOINT_TEXTS),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="One that is not checked answers as if it did not exist.",
    )

    class Meta:
        widgets = {"groups": forms.CheckboxSelectMultiple}

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.initial["endpoints"] = [
            name for name in ENDPOINTS if name not in self.instance.disabled_endpoints
        ]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "endpoints" in cleaned:
            self.instance.disabled_endpoints = [n for n in ENDPOINTS if n not in cleaned["endpoints"]]
        if cleaned.get("access") == Chain.Access.GROUPS and not cleaned.get("groups"):
            self.add_error("groups", "Choose at least one group, or let everyone run the chain.")
        return cleaned


def config_keys_field() -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        choices=named_choices(CONFIG_KEYS, CONFIG_TEXTS),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Config of callers",
        help_text="What counts of the config that a caller sends; everything else is dropped.",
    )
