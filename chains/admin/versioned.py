"""The base form of prompts and chains: it shows the latest version, and saving creates the next one."""

from typing import Any, ClassVar, cast

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.urls import reverse

from chains.runtime.spec.chain import Spec
from chains.runtime.steps.prompts import PromptSpec


class VersionedForm(forms.ModelForm):
    """Cleans to ``cleaned_data["spec"]``, the content of the next version.

    ``base`` is the number of the version with which the user began. If somebody else has saved a version
    since then, the form refuses to save once and keeps what the user has typed.
    """

    rows: ClassVar[tuple[str, ...]] = ()
    """The names of the fields that make the spec."""

    base = forms.IntegerField(required=False, widget=forms.HiddenInput)
    note = forms.CharField(
        required=False,
        max_length=200,
        label="Note for this version",
        widget=forms.TextInput(attrs={"placeholder": "What changed, and why", "class": "vTextField"}),
    )

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        latest = self.instance.latest() if self.instance.pk else None
        self.initial["base"] = latest.number if latest else 0
        if latest:
            self.initial.update(self.typed(latest))

    def typed(self, version: Any) -> dict[str, Any]:
        """Return what the fields of the spec show for a version."""
        raise NotImplementedError

    def read_spec(self) -> PromptSpec | Spec | None:
        """Return the spec from the cleaned fields, or None after adding errors."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk:
            self._refuse_conflict()
        if not self.errors:
            cleaned["spec"] = self.read_spec()
        return cleaned

    def _refuse_conflict(self) -> None:
        # This row lock is held until the end of the admin's transaction, so another editor waits here.
        type(self.instance)._default_manager.select_for_update().filter(pk=self.instance.pk).first()
        latest, began = self.instance.latest(), self.cleaned_data.get("base") or 0
        if latest is None or latest.number == began:
            return
        opts = self.instance._meta
        page = reverse(f"admin:{opts.app_label}_{opts.model_name}_versions", args=[self.instance.pk])
        self.conflict_url = f"{page}?show={latest.number}&against={began or latest.number}"
        # The next save is based on the latest version: the user has read the message then.
        self.data = data = cast(QueryDict, self.data).copy()
        data[self.add_prefix("base")] = str(latest.number)
        raise ValidationError(
            f"Not saved: {latest.author or 'someone'} saved version {latest.number} while you were "
            f"editing version {began}. What you typed is kept below. Look at what changed, take over "
            f"what you need, and save again to make yours version {latest.number + 1}.",
            code="conflict",
        )

    @property
    def made_a_version(self) -> bool:
        """After saving: whether the save created a version."""
        return bool(self.instance.latest().number != (self.cleaned_data.get("base") or 0))
