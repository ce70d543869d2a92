"""The secrets of a provider. None is a field of the form, so no page can render it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from chains.models import Provider
from chains.runtime.errors import InvalidSpec
from chains.runtime.providers.reach import check_proxy, parse_headers


def check_key(key: str) -> None:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidSpec("A key has no spaces and no letters beyond ASCII.")


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A field of the model. The form has a field ``new_…`` and a check box ``remove_…`` for it.

    ``check`` raises InvalidSpec, whose text does not have the secret.
    """

    field: str
    name: str
    label: str
    stored: str
    check: Callable[[str], Any]

    @property
    def new(self) -> str:
        return f"new_{self.name}"

    @property
    def remove(self) -> str:
        return f"remove_{self.name}"

    def hint(self, provider: Provider) -> str:
        return str(getattr(provider, f"{self.name}_hint"))


SECRETS = (
    Secret(field="api_key", name="key", label="API key", stored="The stored key is", check=check_key),
    Secret(
        field="headers",
        name="headers",
        label="Further headers",
        stored="The stored headers are",
        check=parse_headers,
    ),
    Secret(field="proxy", name="proxy", label="HTTP proxy", stored="The stored proxy is", check=check_proxy),
)
NEW = tuple(secret.new for secret in SECRETS)
SECRET_FIELDS = frozenset(NEW) | {secret.remove for secret in SECRETS}


class Unshown:
    """For widgets: what was typed is not sent back to the page."""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, None, attrs)  # type: ignore[misc]
        return context


class UnshownInput(Unshown, forms.TextInput):
    pass


class UnshownTextarea(Unshown, forms.Textarea):
    pass


ATTRS = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}


class SecretsForm(forms.ModelForm):
    """The fields of the secrets. After cleaning, ``secret_changes`` has "set", "removed" or "cleared"."""

    new_key = forms.CharField(
        required=False,
        max_length=1000,
        label="API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
    )
    remove_key = forms.BooleanField(required=False, label="Remove the stored key")
    new_headers = forms.CharField(
        required=False,
        max_length=8000,
        label="Further headers",
        widget=UnshownTextarea(
            attrs={**ATTRS, "class": "lines", "rows": 2, "placeholder": "X-Organisation: research"}
        ),
    )
    remove_headers = forms.BooleanField(required=False, label="Remove the stored headers")
    new_proxy = forms.CharField(
        required=False,
        max_length=500,
        label="HTTP proxy",
        widget=UnshownInput(
            attrs={
                **ATTRS,
                "class": "vTextField",
                "placeholder": "http://user:password@proxy.example.com:3128",
            }
        ),
    )
    remove_proxy = forms.BooleanField(required=False, label="Remove the stored proxy")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        for secret in SECRETS:
            if secret.new in self.fields:
                self.fields[secret.new].help_text = self._help(secret)

    def _help(self, secret: Secret) -> str:
        lead = (
            "One in a line, Name: value. They replace all that are stored. "
            if secret.name == "headers"
            else ""
        )
        if not getattr(self.instance, secret.field):
            return f"{lead}Now: none."
        return (
            f"{lead}Now: {secret.hint(self.instance)}. Leave this empty to keep that. "
            "It is cleared when the endpoint moves to another host."
        )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for secret in SECRETS:
            if not (value := cleaned.get(secret.new)):
                continue
            if cleaned.get(secret.remove):
                self.add_error(secret.remove, "Either a new one or none.")
            try:
                secret.check(value)
            except InvalidSpec as error:
                self.add_error(secret.new, ValidationError(str(error)))
        return cleaned

    def _post_clean(self) -> None:
        # Compare before super() changes the instance: it still has the endpoint that the secrets belong to.
        moved = not self.instance.has_same_host(self.cleaned_data.get("base_url", self.instance.base_url))
        changes = {secret: self._change_of(secret, moved=moved) for secret in SECRETS}
        self.secret_changes = {secret: change for secret, change in changes.items() if change}
        super()._post_clean()  # type: ignore[misc]
        for secret in SECRETS if self.errors else ():
            if self.cleaned_data.get(secret.new):
                self.add_error(secret.new, "Enter this again: it is not sent back to the page.")

    def _change_of(self, secret: Secret, *, moved: bool) -> str:
        stored = getattr(self.instance, secret.field)
        if self.cleaned_data.get(secret.new):
            return "set"
        if self.cleaned_data.get(secret.remove):
            return "removed" if stored else ""
        return "cleared" if stored and moved else ""

    def apply_secrets(self) -> None:
        """Write the changes to the instance, before it is saved."""
        for secret, change in self.secret_changes.items():
            value = self.cleaned_data[secret.new] if change == "set" else ""
            setattr(self.instance, secret.field, value)
