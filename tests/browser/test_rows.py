"""The rows of the admin's forms, with their script."""

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async

from tests.conftest import add_chain, add_prompt, step


@pytest.fixture
def comedian(server, demo):
    add_prompt("joke")
    return add_chain("comedian", step())


@pytest_asyncio.fixture(loop_scope="session")
async def form(open_page, root_session, comedian):
    return await open_page(f"/admin/chains/chain/{comedian.pk}/change/", cookies=root_session)


async def test_a_new_row_gets_the_cells_of_the_kind_that_is_chosen(form, comedian):
    await form.get_by_role("button", name="Add step").click()
    row = form.get_by_role("group", name="Step 2")
    await row.get_by_label("Name").fill("letter")
    await row.get_by_label("Model").fill("typed before")

    await row.get_by_label("Kind").select_option("Text")

    assert await row.get_by_label("Model").count() == 0
    assert await row.get_by_label("Name").input_value() == "letter"
    await row.get_by_label("Text:").fill("Dear {name}: {answer}")
    await form.locator("[name=_continue]").click()
    await form.get_by_text("comedian is saved as version 2").wait_for()
    latest = await sync_to_async(comedian.latest)()
    assert [(s["kind"], s["name"]) for s in latest.spec["steps"]] == [("llm", "answer"), ("text", "letter")]
    row = form.get_by_role("group", name="Step 2")
    assert await row.get_by_label("Text:").input_value() == "Dear {name}: {answer}"
    assert await row.get_by_label("Kind").count() == 0


async def test_what_was_typed_comes_back_with_its_kind(form):
    await form.get_by_role("button", name="Add step").click()
    row = form.get_by_role("group", name="Step 2")
    await row.get_by_label("Model").fill("typed before")

    await row.get_by_label("Kind").select_option("Text")
    await row.get_by_label("Name").fill("typed meanwhile")
    await row.get_by_label("Kind").select_option("Model call")

    assert await row.get_by_label("Model").input_value() == "typed before"
    assert await row.get_by_label("Name").input_value() == "typed meanwhile"
    assert await row.get_by_label("Text:").count() == 0


async def test_a_new_row_can_be_removed_and_moved_after_its_kind_has_changed(form):
    await form.get_by_role("button", name="Add step").click()
    row = form.get_by_role("group", name="Step 2")
    await row.get_by_label("Kind").select_option("Text")

    await row.get_by_role("button", name="Move up").click()

    first = form.get_by_role("group", name="Step 1")
    assert await first.get_by_label("Text:").count() == 1
    await first.get_by_role("button", name="Remove").click()
    await form.get_by_text("step removed").wait_for()
