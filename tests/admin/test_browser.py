"""The browser of these tests sends what a page has, and nothing else."""

import pytest

from tests.admin.conftest import url_of


def test_a_name_that_is_not_on_the_page_is_refused(editor, prompt):
    with pytest.raises(LookupError, match=r"nothing named no-such, _nor_this\."):
        editor.submit(url_of(prompt), "_nor_this", **{"no-such": "x"})


def test_a_row_that_a_script_would_add_may_be_filled_in(editor, prompt):
    form = editor.form(url_of(prompt))

    assert form.has("messages-7-content")
    assert not form.has("messages-7-nonsense")
