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


# --- Rows of several kinds ---------------------------------------------------------------------


class TreeRow(Row):
    kind, kind_label = "tree", "Tree"
    name = forms.CharField()
    height = forms.IntegerField()


class RoseRow(Row):
    kind, kind_label = "rose", "Rose"
    name = forms.CharField()
    colour = forms.CharField()


class Garden(forms.Form):
    plants = RowsField(TreeRow, RoseRow, noun="plant")


class Orchard(forms.Form):
    plants = RowsField(TreeRow, noun="plant")


OAK = {"kind": "tree", "name": "oak", "height": 9}
ROSE = {"kind": "rose", "name": "tea", "colour": "red"}


def planted(*rows, form=Garden, initial=0):
    data = {"plants-TOTAL_FORMS": str(len(rows)), "plants-INITIAL_FORMS": str(initial)}
    for index, row in enumerate(rows):
        data |= {f"plants-{index}-{name}": str(value) for name, value in row.items()}
    return form(data)


def rows_in(form):
    return str(form["plants"]).partition("<template")[0].split("data-row ")[1:]


def test_rows_of_different_kinds_stand_in_one_list():
    form = planted({**ROSE, "ORDER": 1}, {**OAK, "ORDER": 2})

    assert form.is_valid()
    assert form.cleaned_data["plants"] == [ROSE, OAK]


def test_a_row_that_names_no_kind_is_of_the_first():
    form = planted({"name": "oak", "height": 9})

    assert form.is_valid()
    assert form.cleaned_data["plants"] == [OAK]


def test_the_kinds_of_rows_are_shown_and_only_those_of_new_ones_can_be_chosen():
    tree, rose, spare, _ = rows_in(Garden(initial={"plants": [OAK, ROSE]}))

    assert '<input type="hidden" name="plants-0-kind" value="tree"' in tree
    assert '<span class="row-kind">Tree</span>' in tree
    assert '<input type="hidden" name="plants-1-kind" value="rose"' in rose
    assert 'name="plants-1-colour" value="red"' in rose
    assert "plants-1-height" not in rose
    assert '<select name="plants-2-kind"' in spare
    assert '<option value="tree" selected>Tree</option>' in spare
    assert "plants-2-height" in spare


def test_the_page_holds_a_blank_row_of_each_kind_for_its_script():
    _, tree, rose = str(Garden()["plants"]).split("<template data-blank=")

    assert tree.startswith('"tree"')
    assert "plants-__prefix__-height" in tree
    assert rose.startswith('"rose"')
    assert "plants-__prefix__-colour" in rose
    assert '<option value="rose" selected>' in rose


def test_where_there_is_one_kind_nobody_is_asked_for_it():
    page = str(Orchard(initial={"plants": [OAK]})["plants"])

    assert "<select" not in page
    assert "row-kind" not in page
    assert planted({"name": "oak", "height": 9}, form=Orchard).is_valid()


def test_another_kind_chosen_without_a_script_brings_its_cells():
    form = planted(OAK, {"kind": "rose", "name": "tea", "height": 3})

    assert not form.is_valid()
    _, rose = rows_in(form)
    assert "Fill in the fields of this kind, then save again." in rose
    assert "This field is required." not in rose
    assert 'name="plants-1-name" value="tea"' in rose
    assert 'name="plants-1-colour"' in rose
    assert "plants-1-height" not in rose
    assert '<option value="rose" selected>' in rose


def test_a_kind_alone_is_a_choice_made_without_a_script():
    _, rose = rows_in(planted(OAK, {"kind": "rose", "name": "", "height": ""}))

    assert "Fill in the fields" in rose
    assert "Plant 2" in rose
    assert "one more" not in rose


def test_a_blank_row_of_another_kind_is_left_out_as_any_other_is():
    form = planted(OAK, {"kind": "rose", "name": "", "colour": "", "ORDER": 2})

    assert "one more" in rows_in(form)[1]
    assert form.is_valid()
    assert form.cleaned_data["plants"] == [OAK]


def test_a_removed_row_of_another_kind_does_not_matter():
    assert planted(OAK, {"kind": "rose", "name": "tea", "DELETE": "on"}).is_valid()


def test_a_kind_that_there_is_not_is_refused_in_its_row():
    form = planted({**OAK, "kind": "weed"}, {"kind": "weed"})

    assert not form.is_valid()
    assert all("weed is not one of the available choices" in row for row in rows_in(form))


def test_the_form_knows_whether_a_row_is_of_another_kind_than_before():
    same, other = planted(OAK), planted({**OAK, "kind": "rose", "colour": 9})
    same.initial = other.initial = {"plants": [OAK]}

    assert (same.has_changed(), other.has_changed()) == (False, True)
