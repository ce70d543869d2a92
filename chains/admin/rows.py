"""A form field whose value is a list of rows. Each row is a small form."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.core.exceptions import ValidationError
from django.forms.formsets import DELETION_FIELD_NAME, ORDERING_FIELD_NAME
from django.forms.widgets import Media, Script
from django.utils.functional import cached_property

SPARE_ROWS = 2
KIND = "kind"


class Row(forms.Form):
    """Base of the forms of rows.

    A list with several kinds of rows has one subclass for each kind. A posted row names its ``kind``; a row
    without that is of the first kind.
    """

    kind: ClassVar[str] = ""
    kind_label: ClassVar[str] = ""

    @cached_property
    def changed_data(self) -> list[str]:
        """The changed fields. A row is still blank if only its position or its kind was filled in."""
        changed = [name for name in super().changed_data if name not in self._about]
        return [*changed, KIND] if self.lacks_cells else changed

    @cached_property
    def lacks_cells(self) -> bool:
        """Whether the user has chosen this kind on a page that had the cells of another kind.

        This happens without JavaScript: the posted row then lacks cells of its kind.
        """
        if not self.is_bound or not self.kind or self.add_prefix(KIND) not in self.data:
            return False
        return any(
            field.widget.value_omitted_from_data(self.data, self.files, self.add_prefix(name))
            for name, field in self.fields.items()
            if name not in self._bookkeeping
        )

    def full_clean(self) -> None:
        super().full_clean()
        if self.lacks_cells and KIND not in self.errors:
            # The page has not shown these cells yet, so their errors are not the user's mistakes.
            self.errors.clear()
            self.add_error(None, "Fill in the fields of this kind, then save again.")

    def to_row(self) -> dict[str, Any]:
        """Return the row's values and its kind, without the formset's own fields."""
        row = {name: value for name, value in self.cleaned_data.items() if name not in self._bookkeeping}
        return {KIND: self.kind, **row} if self.kind else row

    def cells(self) -> list[forms.BoundField]:
        return [field for field in self.visible_fields() if field.name not in self._bookkeeping]

    def kind_cell(self) -> forms.BoundField | None:
        return self[KIND] if self.kind else None

    @property
    def _about(self) -> tuple[str, ...]:
        return (ORDERING_FIELD_NAME, KIND) if self.kind else (ORDERING_FIELD_NAME,)

    @property
    def _bookkeeping(self) -> tuple[str, ...]:
        return (*self._about, DELETION_FIELD_NAME)


class RowSet(forms.BaseFormSet):
    """A formset of rows, in the order that the user has chosen."""

    # The attributes that Django's formset_factory sets.
    extra, min_num = SPARE_ROWS, 0
    can_order = can_delete = can_delete_extra = True
    validate_min = validate_max = False
    renderer = None

    def __init__(self, row_classes: Sequence[type[Row]], *, max_rows: int, **kwargs: Any):
        self.row_classes = {row_class.kind: row_class for row_class in row_classes}
        self.max_num, self.absolute_max = max_rows, 2 * max_rows + SPARE_ROWS
        super().__init__(**kwargs)

    def form(self, **kwargs: Any) -> Row:  # type: ignore[override]
        """Return a row of the posted or initial kind. Django creates every row with ``self.form``."""
        first, *_ = self.row_classes.values()
        asked = (kwargs.get("initial") or {}).get(KIND, "")
        if self.is_bound:
            asked = self.data.get(f"{kwargs['prefix']}-{KIND}", "")
        return self.row_classes.get(asked, first)(**kwargs)

    def add_fields(self, form: forms.Form, index: int | None) -> None:
        super().add_fields(form, index)
        row = cast(Row, form)
        if not row.kind:
            return
        is_new = index is None or index >= self.initial_form_count()
        row.fields[KIND] = forms.ChoiceField(
            required=False,
            choices=[(row_class.kind, row_class.kind_label) for row_class in self.row_classes.values()],
            initial=row.kind,
            widget=forms.Select if is_new and self.has_several_kinds else forms.HiddenInput,
        )

    @property
    def has_several_kinds(self) -> bool:
        return len(self.row_classes) > 1

    def blanks(self) -> list[Row]:
        """Return a blank row of each kind, from which the page's script makes new rows."""
        return [self._blank(row_class) for row_class in self.row_classes.values()]

    def _blank(self, row_class: type[Row]) -> Row:
        row = row_class(
            **self.get_form_kwargs(None),
            auto_id=self.auto_id,
            prefix=self.add_prefix("__prefix__"),
            empty_permitted=True,
            use_required_attribute=False,
        )
        self.add_fields(row, None)
        return row

    def place_of(self, row: forms.Form) -> float:
        """Return the row's position for sorting. Rows without a number come last, in the page's order."""
        place = getattr(row, "cleaned_data", {}).get(ORDERING_FIELD_NAME)
        return math.inf if place is None else place

    def is_spare(self, row: forms.Form) -> bool:
        """Return whether this is a blank extra row in which the user has entered nothing."""
        return bool(row.empty_permitted) and not (row.is_bound and row.has_changed())

    def is_removed(self, row: forms.Form) -> bool:
        return self.is_bound and bool(getattr(row, "cleaned_data", {}).get(DELETION_FIELD_NAME))

    def shown(self) -> list[Row]:
        """Return every row, in order."""
        if self.is_bound:
            _ = self.errors
            return sorted(cast(list[Row], self.forms), key=self.place_of)
        return list(cast(list[Row], self.forms))

    def kept(self) -> list[Row]:
        """Return the rows that make the value: no spare and no removed ones. Only for a bound formset."""
        return [row for row in self.shown() if not self.is_spare(row) and not self.is_removed(row)]


class RowsWidget(forms.Widget):
    """Renders the rows as a list that people can edit with and without JavaScript."""

    template_name = "admin/rows.html"
    use_fieldset = True

    def __init__(self, row_classes: Sequence[type[Row]], *, noun: str, max_rows: int, attrs: Any = None):
        super().__init__(attrs)
        self.row_classes, self.noun, self.max_rows = row_classes, noun, max_rows
        # Passed to each row's form. A form sets this on its own copy of the field's widget.
        self.form_kwargs: Mapping[str, Any] = {}
        self._bound: RowSet | None = None

    @property
    def media(self) -> Media:
        return Media(js=[Script("admin/chainhub/rows.js", type="module")])  # type: ignore[list-item]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> RowSet:
        # Each form has its own copy of its widgets, so this widget handles one submission only. It keeps the
        # formset, because the form adds errors to its rows later.
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
            about = {"number": number, "removed": removed, "spare": spare}
            numbered.append({"form": row, "kind": row.kind, **about})
        blanks = [{"form": row, "kind": row.kind} for row in formset.blanks()]
        context["widget"].update(formset=formset, noun=self.noun, rows=numbered, blanks=blanks)
        return context

    def _formset(self, name: str, **kwargs: Any) -> RowSet:
        return RowSet(
            self.row_classes,
            max_rows=self.max_rows,
            prefix=name,
            form_kwargs=dict(self.form_kwargs),
            **kwargs,
        )


class RowsField(forms.Field):
    """Cleans to a list with one dict for each row, in order. The page shows a row's errors in that row.

    If rows have kinds, each dict has its ``kind``.
    """

    widget: RowsWidget

    def __init__(self, *row_classes: type[Row], noun: str, max_rows: int = 100, **kwargs: Any):
        self.noun, self.max_rows = noun, max_rows
        widget = RowsWidget(row_classes, noun=noun, max_rows=max_rows)
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
    """Add an error to the row at ``index`` of a cleaned value: to one cell, or to the row if that is None."""
    rowset = cast(RowSet, form[field].data)
    rowset.kept()[index].add_error(cell, message)
    if field not in form.errors:
        form.add_error(field, "Mend the rows marked below.")
