"""The field whose value is a list of rows."""

import pytest
from django import forms

from chains.admin.rows import Row, RowsField, add_row_error


class FruitRow(Row):
    name = forms.CharField()
    kind = forms.ChoiceField(choices=[("a", "A"), ("b", "B")], initial="b")


class Basket(forms.Form):
    fruits = RowsField(FruitRow, noun="fruit", max_rows=3)


def posted(*rows, initial=0, **more):
    data = {"fruits-TOTAL_FORMS": str(len(rows)), "fruits-INITIAL_FORMS": str(initial), **more}
    for index, row in enumerate(rows):
        data |= {f"fruits-{index}-{name}": value for name, value in {"kind": "b", **row}.items()}
    return Basket(data)


def test_rows_clean_to_dicts_in_their_order():
    form = posted({"name": "pear", "ORDER": "2"}, {"name": "fig", "kind": "a", "ORDER": "1"})

    assert form.is_valid()
    assert form.cleaned_data["fruits"] == [{"name": "fig", "kind": "a"}, {"name": "pear", "kind": "b"}]


def test_rows_without_a_number_come_last_as_they_stand():
    form = posted({"name": "pear", "ORDER": ""}, {"name": "fig"}, {"name": "kiwi", "ORDER": "9"})

    assert form.is_valid()
    assert [row["name"] for row in form.cleaned_data["fruits"]] == ["kiwi", "pear", "fig"]


def test_blank_rows_and_removed_rows_are_left_out():
    form = posted({"name": "pear", "DELETE": "on"}, {"name": "", "ORDER": "1"}, {"name": "fig"})

    assert form.is_valid()
    assert [row["name"] for row in form.cleaned_data["fruits"]] == ["fig"]


def test_a_removed_row_may_be_wrong():
    assert posted({"name": "", "kind": "zzz", "DELETE": "on"}, {"name": "fig"}).is_valid()


def test_the_errors_of_a_row_are_shown_in_it():
    form = posted({"name": "pear"}, {"name": "fig", "kind": "zzz"})

    assert form.errors == {"fruits": ["Mend the rows marked below."]}
    first, second = str(form["fruits"]).split("data-row ")[1:3]
    assert "errorlist" not in first
    assert "zzz is not one of the available choices" in second


def test_an_error_found_later_is_shown_in_its_row_too():
    form = posted({"name": "pear", "ORDER": "2"}, {"name": "fig", "ORDER": "1"})
    assert form.is_valid()

    add_row_error(form, "fruits", 0, "Too ripe.", cell="name")

    assert not form.is_valid()
    assert "Too ripe." in str(form["fruits"]).split("data-row ")[1]
    assert form["fruits"].data.forms[1].errors == {"name": ["Too ripe."]}


def test_a_refused_form_shows_the_rows_in_the_order_asked_for():
    form = posted({"name": "pear", "ORDER": "2"}, {"name": "fig", "ORDER": "1"}, {"name": "", "kind": "a"})

    page = str(form["fruits"])

    assert not form.is_valid()
    assert page.index('value="fig"') < page.index('value="pear"')


def test_too_many_rows_and_none_at_all_are_refused():
    assert posted(*({"name": "fig"} for _ in range(4))).errors["fruits"] == ["At most 3 rows of this kind."]
    assert posted().errors["fruits"] == ["Add at least one fruit."]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"fruits-TOTAL_FORMS": "x", "fruits-INITIAL_FORMS": "0"},
        {"fruits-TOTAL_FORMS": "-1", "fruits-INITIAL_FORMS": "0"},
        {"fruits-TOTAL_FORMS": "1000000", "fruits-INITIAL_FORMS": "1000000"},
        {"fruits-TOTAL_FORMS": "1", "fruits-INITIAL_FORMS": "0", "fruits-0-ORDER": "x" * 9},
    ],
)
def test_a_forged_form_is_an_error_and_no_crash(data):
    form = Basket(data)

    assert not form.is_valid()
    assert str(form["fruits"])


def test_an_unbound_field_shows_its_rows_and_two_blank_ones():
    page = str(Basket(initial={"fruits": [{"name": "fig", "kind": "a"}]})["fruits"])

    assert 'name="fruits-TOTAL_FORMS" value="3"' in page
    assert 'name="fruits-INITIAL_FORMS" value="1"' in page
    assert page.count("row-spare") == 2


@pytest.mark.parametrize(("name", "changed"), [("fig", False), ("pear", True)])
def test_the_form_knows_whether_rows_changed(name, changed):
    form = posted({"name": name, "kind": "a"})
    form.initial = {"fruits": [{"name": "fig", "kind": "a"}]}

    assert form.has_changed() is changed
