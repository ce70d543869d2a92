"""The base of a step kind's form: its rows, and the checks before a chain is saved.

A step kind is a subclass of ``StepRow`` in its own file beside this one. ``chains.admin.steps`` lists it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.db.models import Model
from django.utils.functional import cached_property
from pydantic import ValidationError as InvalidData

from chains.admin.cells import VERBATIM, name_field
from chains.admin.rows import KIND, Row
from chains.models import Provider
from chains.runtime.steps.base import Step, Target

Fault = tuple[str | None, str]
"""The name of a cell, or None for the complete row, and the text of the error."""


class Records:
    """The database records that steps can name. Each form queries them once."""

    def __init__(self) -> None:
        self._slugs: dict[type[Model], list[str]] = {}

    @cached_property
    def providers(self) -> dict[str, Provider]:
        shown = ("slug", "kind", "enabled")
        return {provider.slug: provider for provider in Provider.objects.only(*shown)}

    def slugs(self, model: type[Model]) -> list[str]:
        if model not in self._slugs:
            self._slugs[model] = list(model._default_manager.values_list("slug", flat=True))
        return self._slugs[model]

    def slug_choices(self, model: type[Model]) -> list[tuple[str, str]]:
        return [("", "Choose"), *((slug, slug) for slug in self.slugs(model))]


class NamingRow(Row):
    """Base of rows that name records."""

    def __init__(self, *args: Any, records: Records | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.records = records or Records()


class TargetRow(NamingRow):
    """The row of a target: a model at a provider."""

    provider = forms.ChoiceField()
    model = forms.CharField(
        max_length=200, widget=forms.TextInput(attrs={**VERBATIM, "list": "known-models"})
    )

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        providers = self.records.providers.values()
        names = [(p.slug, p.slug if p.enabled else f"{p.slug} (switched off)") for p in providers]
        self.fields["provider"].choices = [("", "Choose"), *names]  # type: ignore[attr-defined]


class StepRow(NamingRow):
    """Base of the rows of one step kind.

    ``kind`` is the same as that of ``step_class``. ``kind_label`` is its name for people.
    """

    step_class: ClassVar[type[Step]]

    name = name_field(help_text="Later steps use the answer as {name}.")

    @classmethod
    def data_of(cls, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a cleaned row as the data of its step."""
        raise NotImplementedError

    @classmethod
    def row_of(cls, step: Any) -> dict[str, Any]:
        """Return a step as the values of its cells, by the cells' names."""
        raise NotImplementedError

    @classmethod
    def cell_of(cls, place: tuple[int | str, ...]) -> str | None:
        """Return the cell for an error at this location in the step's data; None for the complete row."""
        return str(place[0]) if place and place[0] in cls.base_fields else None

    @classmethod
    def faults(cls, step: Any, records: Records, *, fallbacks: Sequence[Target]) -> Iterator[Fault]:
        """Yield an error for everything that the step names and ``records`` does not have.

        ``fallbacks`` are those of the chain.
        """
        yield from ()

    @classmethod
    def step_of(cls, row: Mapping[str, Any]) -> Step:
        """Return the step of a cleaned row. Raises pydantic's ValidationError."""
        return cls.step_class.model_validate({KIND: cls.kind, **cls.data_of(row)})

    def clean(self) -> None:
        if self.errors:
            return
        try:
            self.step_of(self.cleaned_data)
        except InvalidData as error:
            for fault in error.errors():
                self.add_error(self.cell_of(fault["loc"]), fault["msg"].removeprefix("Value error, "))
