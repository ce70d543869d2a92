"""A form field whose value is a list of rows, each a small form of its own."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.forms.formsets import DELETION_FIELD_NAME, ORDERING_FIELD_NAME
from django.forms.widgets import Media, Script
from django.utils.functional import cached_property

SPARE_ROWS = 2


class Row(forms.Form):
    """Base of the forms that make rows."""

    @cached_property
    def changed_data(self) -> list[str]:
        """A spare row is still blank when only its place among the rows was filled in."""
        return [name for name in super().changed_data if name != ORDERING_FIELD_NAME]

    def to_row(self) -> dict[str, Any]:
        """What was typed, without the form's own bookkeeping."""
        own = (ORDERING_FIELD_NAME, DELETION_FIELD_NAME)
        return {name: value for name, value in self.cleaned_data.items() if name not in own}

    def cells(self) -> list[forms.BoundField]:
        own = (ORDERING_FIELD_NAME, DELETION_FIELD_NAME)
        return [field for field in self.visible_fields() if field.name not in own]


class RowSet(forms.BaseFormSet):
    """Rows in the order a person gave them."""

    def place_of(self, row: forms.Form) -> float:
        """Rows without a number come last, in the order of the page."""
        place = getattr(row, "cleaned_data", {}).get(ORDERING_FIELD_NAME)
        return math.inf if place is None else place

    def is_spare(self, row: forms.Form) -> bool:
        """Whether this is one of the blank rows that are offered for more."""
        return bool(row.empty_permitted) and not (row.is_bound and row.has_changed())

    def is_removed(self, row: forms.Form) -> bool:
        return self.is_bound and bool(getattr(row, "cleaned_data", {}).get(DELETION_FIELD_NAME))

    def shown(self) -> list[Row]:
        """Every row, in order."""
        if self.is_bound:
            _ = self.errors
            return sorted(cast(list[Row], self.forms), key=self.place_of)
        return list(cast(list[Row], self.forms))

    def kept(self) -> list[Row]:
        """The rows that make the value; only of a bound set."""
        return [row for row in self.shown() if not self.is_spare(row) and not self.is_removed(row)]


class RowsWidget(forms.Widget):
    """The rows as a list that can be edited with and without JavaScript."""

    template_name = "admin/rows.html"
    use_fieldset = True

    def __init__(self, form_class: type[Row], *, noun: str, max_rows: int, attrs: Any = None):
        super().__init__(attrs)
        self.noun = noun
        # Given to each row's form; a form sets it on its own copy of the field.
        self.form_kwargs: Mapping[str, Any] = {}
        self.formset_class = forms.formset_factory(
            form_class,
            formset=RowSet,
            extra=SPARE_ROWS,
            can_order=True,
            can_delete=True,
            max_num=max_rows,
            absolute_max=2 * max_rows + SPARE_ROWS,
        )
        self._bound: RowSet | None = None

    @property
    def media(self) -> Media:
        return Media(js=[Script("admin/chainhub/rows.js", type="module")])  # type: ignore[list-item]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> RowSet:
        # Each form has its own copy of its widgets, so this one sees one submission only. Keeping
        # the set keeps the errors that the form adds to its rows.
        if self._bound is None:
            self._bound = self._formset(name, data=data)
        return self._bound

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False

    def id_for_label(self, id_: str) -> str:
        return ""

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, None, attrs)
        formset = value if isinstance(value, RowSet) else self._formset(name, initial=value or [])
        numbered: list[dict[str, Any]] = []
        number = 0
        for row in formset.shown():
            removed, spare = formset.is_removed(row), formset.is_spare(row)
            number += not removed and not spare
            numbered.append({"form": row, "number": number, "removed": removed, "spare": spare})
        context["widget"].update(formset=formset, noun=self.noun, rows=numbered)
        return context

    def _formset(self, name: str, **kwargs: Any) -> RowSet:
        return cast(RowSet, self.formset_class(prefix=name, form_kwargs=dict(self.form_kwargs), **kwargs))


class RowsField(forms.Field):
    """Cleans to one dict for each row, in order; the errors of a row are shown in it."""

    widget: RowsWidget

    def __init__(self, form_class: type[Row], *, noun: str, max_rows: int = 100, **kwargs: Any):
        self.noun, self.max_rows = noun, max_rows
        widget = RowsWidget(form_class, noun=noun, max_rows=max_rows)
        super().__init__(widget=widget, **kwargs)

    def clean(self, value: Any) -> list[dict[str, Any]]:
        rowset = cast(RowSet, value)
        if not rowset.is_valid():
            raise ValidationError(list(rowset.non_form_errors()) or ["Mend the rows marked below."])
        rows = rowset.kept()
        if self.required and not rows:
            raise ValidationError(f"Add at least one {self.noun}.", code="required")
        if len(rows) > self.max_rows:
            raise ValidationError(f"At most {self.max_rows} rows of this kind.")
        return [row.to_row() for row in rows]

    def has_changed(self, initial: Sequence[Mapping[str, Any]] | None, data: Any) -> bool:
        rowset = cast(RowSet, data)
        return not rowset.is_valid() or [row.to_row() for row in rowset.kept()] != list(initial or [])


def add_row_error(form: forms.BaseForm, field: str, index: int, message: str, cell: str | None) -> None:
    """Refuse the row at ``index`` of a cleaned value, at one of its cells or as a whole."""
    rowset = cast(RowSet, form[field].data)
    rowset.kept()[index].add_error(cell, message)
    if field not in form.errors:
        form.add_error(field, "Mend the rows marked below.")
