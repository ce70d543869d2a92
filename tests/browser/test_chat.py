"""A conversation as a person has it."""

from importlib.resources import files

import pytest
from playwright.async_api import Page, expect

from chains.models import Chain, Feedback, Run
from tests.conftest import add_chain, add_prompt, step

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
HOSTILE = '<img src=x onerror="document.title=1"><b>bold</b>'


@pytest.fixture
def talk(server, demo):
    """Chains with a history and a question: one answers at once, one would go on for a minute."""
    add_prompt("talk", messages=[{"placeholder": "history"}, {"role": "human", "content": "{question}"}])
    add_chain("talk", step("talk", extra={"reply": HOSTILE}))
    add_chain("endless", step("talk", model="demo-coach", extra={"delay_ms": 50, "words": 2000}))


async def chat(open_page, session, slug: str, **context) -> Page:
    page = await open_page(f"/chains/{slug}/playground/chat/", cookies=session, **context)
    await expect(page.locator("#connection")).to_contain_text("Connected")
    return page


async def ask(page: Page, text: str) -> None:
    """Ask, and wait for the answer."""
    await page.locator("#question").fill(text)
    await page.locator("#question").press("Enter")
    turn = page.locator(".turn").last
    await expect(turn.locator("[data-slot=question]")).to_have_text(text)
    await expect(turn.get_by_role("button", name="Regenerate")).to_be_visible()


async def test_each_turn_is_a_run_that_knows_the_ones_before(open_page, alice_session, talk):
    page = await chat(open_page, alice_session, "talk")
    title = await page.title()
    await ask(page, "first")
    await page.locator("#question").fill("one line")
    await page.locator("#question").press("Shift+Enter")
    await page.locator("#question").press_sequentially("and another")
    await page.locator("#question").press("Enter")
    await expect(page.get_by_role("button", name="Regenerate")).to_have_count(1)
    await expect(page.locator("[data-slot=foot]:visible")).to_have_count(2)

    runs = [run async for run in Run.objects.order_by("created_at")]
    assert [run.input for run in runs] == [
        {"history": [], "question": "first"},
        {
            "history": [{"type": "human", "content": "first"}, {"type": "ai", "content": HOSTILE}],
            "question": "one line\nand another",
        },
    ]
    await expect(page.locator("[data-slot=answer]").first).to_have_text(HOSTILE)
    assert await page.locator("[data-slot=answer] *").count() == 0
    assert await page.title() == title
    await expect(page.locator("#announcer")).to_have_text(HOSTILE)


async def test_a_conversation_survives_a_reload_and_can_be_judged_and_begun_anew(
    open_page, alice_session, talk
):
    page = await chat(open_page, alice_session, "talk")
    await ask(page, "first")
    await page.get_by_role("button", name="Bad answer").click()
    await expect(page.get_by_role("status").filter(has_text="bad")).to_be_visible()
    await page.reload()
    await expect(page.locator("#connection")).to_contain_text("Connected")

    await expect(page.locator("[data-slot=answer]")).to_have_text(HOSTILE)
    assert await page.locator("[data-slot=answer] *").count() == 0
    await expect(page.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="Good answer").click()
    await expect(page.get_by_role("button", name="Bad answer")).to_have_attribute("aria-pressed", "false")
    feedback = await Feedback.objects.aget()
    assert (feedback.key, feedback.score) == ("thumbs", 1)

    await page.get_by_role("button", name="Regenerate").click()
    await expect(page.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "false")
    assert [run.input["history"] async for run in Run.objects.all()] == [[], []]
    await page.get_by_role("button", name="Start over").click()
    await expect(page.locator(".turn")).to_have_count(0)
    await page.reload()
    await expect(page.locator("#chat-empty")).to_be_visible()


async def test_a_stopped_answer_keeps_its_text_and_can_be_asked_for_again(open_page, alice_session, talk):
    page = await chat(open_page, alice_session, "endless")
    await page.locator("#question").fill("everything")
    await page.locator("#send").click()
    await expect(page.locator("[data-slot=answer]")).to_contain_text("Warm up")
    await expect(page.locator("#announcer")).to_be_empty()

    await page.keyboard.press("Escape")

    await expect(page.locator("[data-slot=state]")).to_have_text("Stopped")
    await expect(page.locator("[data-slot=answer]")).to_contain_text("Warm up")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("[data-slot=state]")).to_have_text("Writing…")
    await page.locator("#stop").click()
    await expect(page.locator("[data-slot=state]")).to_have_text("Stopped")
    assert await Run.objects.filter(status="cancelled").acount() == 2


async def test_an_answer_that_fails_says_so_and_is_no_part_of_the_conversation(
    open_page, alice_session, server
):
    page = await chat(open_page, alice_session, "pairs")
    await page.locator("#question").fill("fail")
    await page.locator("#question").press("Enter")
    await expect(page.locator("[data-slot=problem]")).not_to_be_empty()
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()
    await ask(page, "second")
    await ask(page, "third")

    await expect(page.locator("[data-slot=answer]").last).to_have_text("1 turns before third")
    run = await Run.objects.order_by("-created_at").afirst()
    assert run.input == {"chat_history": [["second", "0 turns before second"]], "question": "third"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_conversation_breaks_no_rule_of_accessibility_on_a_narrow_screen(
    open_page, alice_session, talk, scheme
):
    narrow = {"width": 360, "height": 740}
    page = await chat(open_page, alice_session, "talk", viewport=narrow, color_scheme=scheme)
    await ask(page, "first")
    await page.get_by_role("button", name="Bad answer").click()
    await expect(page.get_by_label("What was wrong?")).to_be_visible()

    await page.evaluate(AXE)
    results = await page.evaluate("axe.run()")
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in results["violations"]] == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_the_name_of_the_chain_stands_whole_above_its_answers(open_page, alice_session, talk):
    name = "A conversation with a name that is longer than the header has room for"
    await Chain.objects.filter(slug="talk").aupdate(name=name)
    page = await chat(open_page, alice_session, "talk")
    await ask(page, "first")

    heading = page.locator(".turn").get_by_role("heading", name=name)
    assert await heading.evaluate("(heading) => heading.scrollWidth <= heading.clientWidth")
