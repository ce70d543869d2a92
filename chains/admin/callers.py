"""The settings that every chain has: who may run it, its endpoints, and what callers may configure."""

from typing import Any

from django import forms
from django.utils.html import format_html

from chains.doors import switches
from chains.models import Chain
from chains.runtime.wire.config import CONFIG_KEYS

CONFIG_TEXTS = {
    "configurable": "what this chain lets them choose",
    "tags": "words that are seen beside each step",
    "metadata": "data that is seen beside each step",
    "recursion_limit": "how deep calls may nest",
    "max_concurrency": "how much at once in a run",
}

CALLER_FIELDS = ("endpoints", "config_keys", "expose_steps", "system_messages")
ACCESS_FIELDS = ("enabled", "access", "groups")


def named_choices(texts: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, format_html("<code>{}</code> {}", name, text)) for name, text in texts.items()]


def switch_choices() -> list[tuple[str, str]]:
    return named_choices(switches())


class CallersForm(forms.ModelForm):
    """The form of these settings.

    The field ``endpoints`` has the endpoints that are on; the model stores those that are off.
    """

    endpoints = forms.MultipleChoiceField(
        choices=switch_choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="One that is not checked answers as if it did not exist.",
    )

    class Meta:
        widgets = {"groups": forms.CheckboxSelectMultiple}

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.initial["endpoints"] = [name for name in switches() if self.instance.is_open(name)]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "endpoints" in cleaned:
            self.instance.disabled_endpoints = [n for n in switches() if n not in cleaned["endpoints"]]
        if cleaned.get("access") == Chain.Access.GROUPS and not cleaned.get("groups"):
            self.add_error("groups", "Choose at least one group, or let everyone run the chain.")
        return cleaned


def config_keys_field() -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        choices=named_choices({name: CONFIG_TEXTS[name] for name in CONFIG_KEYS}),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Config of callers",
        help_text="What counts of the config that a caller sends; everything else is dropped.",
    )
