"""The page of a provider, the suggestions of models, and what an editor is told of a failure."""

import threading
from importlib.resources import files

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import expect

from chains.models import LearnedHabit
from tests.browser.conftest import session_cookies
from tests.conftest import add_chain, add_prompt, over_http, step
from tests.upstream import answers, fails, held

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
SAID = "Unsupported value of MARZIPAN"


@pytest.fixture
def listed(server, openai, demo, upstream):
    """A provider that lists its models, and a chain with two steps."""
    upstream.models = ["gpt-small", "gpt-large"]
    add_prompt("poem", "A poem about {topic}")
    return add_chain("poem", over_http("poem"), step("poem", name="last"))


@pytest.fixture
def provider_page(openai):
    return f"/admin/chains/provider/{openai.pk}/change/"


@pytest.mark.parametrize("scripts", [True, False])
async def test_a_button_tests_the_provider(open_page, root_session, listed, upstream, provider_page, scripts):
    upstream.script(answers("Hello."), answers("Hello."), answers('{"word": "hello"}'))
    page = await open_page(provider_page, cookies=root_session, java_script_enabled=scripts)
    await page.locator("#trial_model").fill("gpt-small")

    await page.get_by_role("button", name="Test").click()

    await expect(page.get_by_role("heading", name="What works with gpt-small")).to_be_visible()
    await expect(page.locator(".badge-succeeded")).to_have_count(7)
    await expect(page.locator("#trial_model")).to_have_value("gpt-small")


async def test_other_requests_are_answered_during_a_test(
    open_page, root_session, listed, upstream, provider_page
):
    go_on = threading.Event()
    upstream.script(held("Hello.", after_chunks=0, until=go_on))
    testing = await open_page(provider_page, cookies=root_session)
    await testing.locator("#trial_model").fill("gpt-small")
    await testing.get_by_role("button", name="Test").click(no_wait_after=True)
    assert await upstream.wait_for_async(lambda: any(r.method == "POST" for r in upstream.requests))

    other = await open_page("/admin/", cookies=root_session)

    await expect(other.get_by_role("heading", name="Admin")).to_be_visible()
    go_on.set()
    await expect(testing.get_by_role("heading", name="What works with gpt-small")).to_be_visible()


async def test_what_was_learned_is_forgotten_by_a_button(
    open_page, root_session, listed, openai, provider_page
):
    for model in ("gpt-small", "gpt-large"):
        await LearnedHabit.objects.acreate(
            provider=openai, model=model, habit="streaming", value="never", refusal="No streams."
        )
    page = await open_page(provider_page, cookies=root_session)

    await page.get_by_role("button", name="Forget: Streaming, gpt-small").click()

    await expect(page.get_by_text("Forgotten: 1 of what was learned.")).to_be_visible()
    assert [row.model async for row in LearnedHabit.objects.all()] == ["gpt-large"]


async def test_models_are_suggested_for_the_provider_of_each_row(open_page, root_session, listed):
    page = await open_page(f"/admin/chains/chain/{listed.pk}/change/", cookies=root_session)
    first, last = (page.get_by_role("group", name=f"Step {n}") for n in (1, 2))

    await first.get_by_label("Model").focus()
    await expect(first.get_by_label("Model")).to_have_attribute("list", "models-of-openai")
    await last.get_by_label("Model").focus()
    await expect(last.get_by_label("Model")).to_have_attribute("list", "models-of-demo")
    names = await page.locator("#models-of-openai option").evaluate_all("all => all.map((one) => one.value)")
    assert names == ["gpt-small", "gpt-large"]

    await first.get_by_label("Provider").select_option("demo")
    await expect(first.get_by_label("Model")).to_have_attribute("list", "models-of-demo")
    await page.get_by_role("button", name="Add step").click()
    added = page.get_by_role("group", name="Step 3")
    await added.get_by_label("Provider").select_option("openai")
    await expect(added.get_by_label("Model")).to_have_attribute("list", "models-of-openai")


async def test_a_list_that_fails_leaves_the_known_models(open_page, root_session, listed, upstream):
    upstream.models = None
    page = await open_page(f"/admin/chains/chain/{listed.pk}/change/", cookies=root_session)
    field = page.get_by_role("group", name="Step 1").get_by_label("Model")

    async with page.expect_response("**/provider/models/*"):
        await field.focus()

    await expect(field).to_have_attribute("data-suggests", "openai")
    await expect(field).to_have_attribute("list", "known-models")


@pytest.mark.parametrize(("who", "is_told"), [("alice", False), ("staff", True)])
async def test_an_editor_reads_in_the_playground_what_the_provider_said(
    open_page, request, listed, upstream, who, is_told
):
    user = await sync_to_async(request.getfixturevalue)(who)
    cookies = await sync_to_async(session_cookies)(user)
    upstream.script(fails(400, SAID, "unsupported_value"))
    page = await open_page("/chains/poem/playground/", cookies=cookies)
    await expect(page.locator("#connection")).to_contain_text("Connected")
    await page.locator("[name=topic]").fill("cats")

    await page.locator("#run").click()

    await expect(page.locator("#problem-text")).to_have_text("The model provider refused the request.")
    said = page.locator("#problem-said")
    if is_told:
        await expect(said).to_have_text(f"The provider said: status 400, code unsupported_value: {SAID}")
        await page.locator("#run").click()
        await expect(page.locator("#status")).to_have_text("Done")
    await expect(said).to_be_hidden()


@pytest.fixture
def talk(server, openai):
    add_prompt("talk", messages=[{"placeholder": "history"}, {"role": "human", "content": "{question}"}])
    return add_chain("talk", over_http("talk"))


@pytest.mark.parametrize(("who", "is_told"), [("alice", False), ("staff", True)])
async def test_an_editor_reads_in_a_conversation_what_the_provider_said(
    open_page, request, talk, upstream, who, is_told
):
    cookies = await sync_to_async(session_cookies)(await sync_to_async(request.getfixturevalue)(who))
    upstream.script(fails(400, SAID, "unsupported_value"))
    page = await open_page("/chains/talk/playground/chat/", cookies=cookies)
    await expect(page.locator("#connection")).to_contain_text("Connected")
    await page.locator("#question").fill("cats")

    await page.locator("#question").press("Enter")

    problem = "The model provider refused the request."
    if is_told:
        problem += f" The provider said: status 400, code unsupported_value: {SAID}"
    await expect(page.locator("[data-slot=problem]")).to_have_text(problem)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_pages_of_a_provider_break_no_rule_of_accessibility(
    open_page, root_session, listed, provider_page, openai, scheme
):
    await LearnedHabit.objects.acreate(provider=openai, model="m", habit="api", value="responses")
    found = []
    for path in (provider_page, provider_page.replace("change", "test")):
        page = await open_page(path, cookies=root_session, color_scheme=scheme)
        await page.evaluate(AXE)
        # The table of prices is Django's own.
        results = await page.evaluate(
            "axe.run({include: [['#content']], exclude: [['.inline-group']]}, {preload: false})"
        )
        found += [(path, fault["id"], fault["nodes"][0]["html"]) for fault in results["violations"]]

    assert found == []
