"""What the playground offers beside plain fields: files, choices, judgements."""

import base64

import pytest
from playwright.async_api import Page, expect

from chains.models import Feedback, Run
from tests.conftest import add_chain, add_prompt, step


@pytest.fixture
def choosy(server, demo):
    """A chain whose answer callers may heat."""
    add_prompt("choosy", "{topic}")
    add_chain(
        "choosy",
        step("choosy"),
        configurable=[
            {"name": "heat", "step": "answer", "field": "temperature", "maximum": 1},
            {"name": "model", "step": "answer", "field": "model", "choices": ["demo-coach"]},
        ],
    )


async def playground(open_page, session, slug: str) -> Page:
    page = await open_page(f"/chains/{slug}/playground/", cookies=session)
    await expect(page.locator("#connection")).to_contain_text("Connected")
    return page


def a_file(size: int) -> dict:
    return {"name": "notes.bin", "mimeType": "application/octet-stream", "buffer": bytes(range(256)) * size}


async def test_a_file_is_sent_as_base64_and_one_that_is_too_large_is_refused(open_page, alice_session):
    page = await playground(open_page, alice_session, "upload")
    chooser = page.get_by_label("File")
    await chooser.set_input_files(a_file(4000))
    await expect(page.locator("[data-error]").first).to_contain_text("at most 767 KB")
    await chooser.set_input_files(a_file(8))
    await expect(page.locator("[data-error]").first).to_be_empty()
    await expect(page.locator("[data-file-chosen]")).to_contain_text("notes.bin 2 KB")
    await expect(page.locator("[data-snippet=curl]")).to_contain_text("<base64 of notes.bin>")

    await page.locator("#run").click()

    await expect(page.locator("#status")).to_have_text("Done")
    run = await Run.objects.aget()
    assert base64.b64decode(run.input["file"]) == bytes(range(256)) * 8

    await page.get_by_role("button", name="Remove").click()
    await page.locator("#run").click()
    await expect(page.locator("[data-error]").first).to_have_text("This field is required.")


async def test_a_file_may_be_dropped(open_page, alice_session):
    page = await playground(open_page, alice_session, "upload")
    await page.locator("[data-file]").evaluate(
        """(zone) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["abc"], "dropped.txt"));
            for (const type of ["dragover", "drop"]) {
                zone.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
            }
        }"""
    )

    await expect(page.locator("[data-file-chosen]")).to_contain_text("dropped.txt 3 bytes")
    assert await page.locator("[name=file]").input_value() == "YWJj"


async def test_only_a_changed_choice_is_sent_and_shown_as_code(open_page, alice_session, choosy):
    page = await playground(open_page, alice_session, "choosy")
    await page.locator("[name=topic]").fill("cats")
    await page.locator("#run").click()
    await expect(page.locator("#status")).to_have_text("Done")
    await page.get_by_text("Configuration").click()
    await page.get_by_label("Model").select_option("demo-coach")
    await expect(page.locator("#config-changes")).to_have_text("1 changed")
    await expect(page.locator("[data-snippet=curl]")).to_contain_text(
        '"config": {"configurable": {"model": "demo-coach"}}'
    )
    await page.locator("#run").click()
    await expect(page.locator("#output")).to_contain_text("You said")
    await expect(page.locator("#status")).to_have_text("Done")

    runs = [run async for run in Run.objects.order_by("created_at")]
    assert [run.config for run in runs] == [{}, {"configurable": {"model": "demo-coach"}}]


async def test_what_the_server_says_of_a_choice_is_shown_at_its_field(open_page, alice_session, server):
    page = await playground(open_page, alice_session, "model")
    await page.locator("[data-text]").fill("Hello")
    await page.get_by_text("Configuration").click()
    await page.get_by_label("Responses").fill('{"no": "list"}')
    await page.locator("#run").click()

    await expect(page.locator("#config [data-error]")).to_contain_text("valid list")
    assert not await Run.objects.aexists()


async def test_an_answer_can_be_judged_with_words(open_page, alice_session, choosy):
    page = await playground(open_page, alice_session, "choosy")
    await expect(page.get_by_role("button", name="Bad answer")).to_be_hidden()
    await page.locator("[name=topic]").fill("cats")
    await page.locator("#run").click()
    await page.get_by_role("button", name="Bad answer").click()
    await page.get_by_label("What was wrong?").fill("No dogs")
    await page.get_by_label("What was wrong?").press("Enter")
    await expect(page.locator("[data-thumbs-said]")).to_contain_text("kept")

    feedback = await Feedback.objects.aget()
    assert (feedback.score, feedback.comment) == (0, "No dogs")
    assert await Run.objects.acount() == 1

    await page.goto(f"/runs/{feedback.run_id}/")
    await expect(page.get_by_text("No dogs")).to_be_visible()
    await page.get_by_role("button", name="Bad answer").click()
    await expect(page.locator("[data-thumbs-said]")).to_have_text("You found this answer bad.")
    await feedback.arefresh_from_db()
    assert (feedback.score, feedback.comment) == (0, "No dogs")
    await page.get_by_role("button", name="Good answer").click()
    await expect(page.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "false")
    await feedback.arefresh_from_db()
    assert (feedback.score, feedback.comment) == (1, "")


async def test_the_first_word_on_a_run_is_shown_on_its_page(open_page, alice_session, choosy):
    page = await playground(open_page, alice_session, "choosy")
    await page.locator("[name=topic]").fill("cats")
    await page.locator("#run").click()
    await expect(page.locator("#status")).to_have_text("Done")
    run = await Run.objects.aget()

    await page.goto(f"/runs/{run.id}/")
    await page.get_by_role("button", name="Bad answer").click()
    await expect(page.locator("[data-thumbs-said]")).to_have_text("You found this answer bad.")
    await expect(page.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    await page.get_by_label("What was wrong?").fill("No dogs")
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator("#given-comment")).to_have_text("No dogs")

    feedback = await Feedback.objects.aget()
    assert (feedback.run_id, feedback.score, feedback.comment) == (run.id, 0, "No dogs")
