"""The playground as a person meets it."""

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import Page, expect

from chains.models import Run
from tests.conftest import add_chain, add_prompt, step

SLOW = {"delay_ms": 40}


@pytest.fixture
def fitness(server, demo):
    """A chain that streams for about a second, and one that would go on for a minute."""
    add_prompt("fitness", "{input}")
    add_chain("fitness", step("fitness", model="demo-coach", extra={"delay_ms": 15}))
    add_chain("endless", step("fitness", model="demo-coach", extra={"delay_ms": 50, "words": 2000}))


async def connected(page: Page) -> Page:
    """The page once its script runs: before, its form would be sent as one without JavaScript is."""
    await expect(page.locator("#connection")).to_contain_text("Connected")
    return page


async def growth_of(page: Page, selector: str) -> list[int]:
    """The lengths of the text that a watcher saw, each longer than the one before."""
    return await page.evaluate(
        """async (selector) => {
            const node = document.querySelector(selector), lengths = [];
            const note = () => {
                const length = node.textContent.length;
                if (length > (lengths.at(-1) ?? 0)) lengths.push(length);
            };
            while (document.querySelector("#status").textContent.trim() !== "Done") {
                note();
                await new Promise((resolve) => setTimeout(resolve, 20));
            }
            note();
            return lengths;
        }""",
        selector,
    )


async def test_signing_in_and_running_shows_the_answer_as_it_grows(open_page, alice, fitness):
    page = await open_page("/chains/fitness/playground/")
    await page.get_by_label("Username").fill("alice")
    await page.get_by_label("Password").fill("a long pass phrase")
    await page.get_by_role("button", name="Sign in").click()
    await connected(page)
    await page.locator("[name=input]").fill("Where do I begin?")
    await page.locator("#run").click()

    growth = await growth_of(page, "#output")

    assert len(growth) >= 3
    await expect(page.locator("#output")).to_contain_text('You said: "Where do I begin?"')
    await expect(page.locator("#first-token")).to_contain_text("s")
    await expect(page.locator("#versions")).to_contain_text("1")
    run = await Run.objects.aget()
    assert (run.status, run.source, run.user_id) == ("succeeded", "ws", alice.pk)


async def test_stop_keeps_the_text_and_marks_the_run_cancelled(open_page, alice_session, fitness):
    page = await connected(await open_page("/chains/endless/playground/", cookies=alice_session))
    await page.locator("[name=input]").fill("Tell me everything")
    await page.locator("#run").click()
    await expect(page.locator("#output")).to_contain_text("Warm up")

    await page.locator("#stop").click()

    await expect(page.locator("#status")).to_have_text("Cancelled")
    await expect(page.locator("#output")).to_contain_text("Warm up")
    run = await Run.objects.aget()
    assert run.status == "cancelled"
    assert "Warm up" in run.output


async def test_the_keyboard_runs_and_stops(open_page, alice_session, fitness):
    page = await connected(await open_page("/chains/endless/playground/", cookies=alice_session))
    await page.locator("[name=input]").fill("hello")

    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#status")).to_have_text("Running")
    await page.keyboard.press("Escape")

    await expect(page.locator("#status")).to_have_text("Cancelled")


async def test_several_runs_go_over_one_page(open_page, alice_session, fitness):
    page = await connected(await open_page("/chains/fitness/playground/", cookies=alice_session))
    for question in ("first", "second"):
        await page.locator("[name=input]").fill(question)
        await page.locator("#run").click()
        await expect(page.locator("#output")).to_contain_text(f'"{question}"')
        await expect(page.locator("#status")).to_have_text("Done")

    assert await Run.objects.acount() == 2
    await expect(page.locator("#history")).to_contain_text("second")


HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script>[a](javascript:alert(1))'


@pytest.fixture
def hostile(server, demo):
    add_prompt("hostile", "{input}")
    add_chain("hostile", step("hostile", extra={"reply": HOSTILE}))


async def test_model_output_stays_text(open_page, alice_session, hostile):
    page = await connected(await open_page("/chains/hostile/playground/", cookies=alice_session))
    title = await page.title()
    await page.locator("[name=input]").fill("x")
    await page.locator("#run").click()
    await expect(page.locator("#status")).to_have_text("Done")

    await expect(page.locator("#output")).to_have_text(HOSTILE)
    assert await page.locator("#output img, #output script, #output a").count() == 0
    assert await page.title() == title


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_narrow_screen_shows_everything_without_sideways_scrolling(
    open_page, alice_session, fitness, scheme
):
    page = await open_page(
        "/chains/fitness/playground/",
        cookies=alice_session,
        viewport={"width": 360, "height": 740},
        color_scheme=scheme,
    )

    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await expect(page.locator("#run")).to_be_visible()


async def test_every_step_of_a_chain_is_shown_as_it_runs(open_page, alice_session, fitness):
    letter = {"kind": "text", "name": "letter", "template": "Dear {input}: {answer}"}
    await sync_to_async(add_chain)("letter", step("fitness"), letter)
    page = await connected(await open_page("/chains/letter/playground/", cookies=alice_session))
    steps = page.locator("#steps > li")
    await expect(steps.locator(".step-name")).to_have_text(["answer", "letter"])
    await page.locator("[name=input]").fill("Ada")

    await page.locator("#run").click()

    await expect(page.locator("#output")).to_have_text("Dear Ada: Ada")
    await expect(steps.locator("[data-step-status]")).to_have_text(["done", "done"])
    await expect(steps.locator("[data-step-model]")).to_have_text(["demo/demo-echo", ""])


async def test_a_chain_of_one_step_lists_no_steps(open_page, alice_session, fitness):
    page = await connected(await open_page("/chains/fitness/playground/", cookies=alice_session))

    await expect(page.locator("#steps")).to_have_count(0)
