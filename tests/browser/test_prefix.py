"""The pages behind a proxy that mounts the server under a path, with and without removing it."""

import dataclasses
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from asgiref.sync import sync_to_async
from playwright.async_api import expect

from chains.models import Prompt, Run
from tests.browser.test_playground import connected, growth_of
from tests.conftest import Server, add_chain, add_prompt, start_server, step, stop_server
from tests.proxy import Proxy

PREFIX = "/hub"


@pytest.fixture(scope="module")
def proxies(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[dict[bool, Server]]:
    """One server, reached through a proxy that strips the prefix and through one that does not."""
    proxies = {strips: Proxy(prefix=PREFIX, strips=strips) for strips in (True, False)}
    origins = ",".join(proxy.origin for proxy in proxies.values())
    log = tmp_path_factory.mktemp("mounted") / "log"
    server = start_server(log, PATH_PREFIX=PREFIX, ALLOWED_ORIGINS=origins)
    for proxy in proxies.values():
        proxy.target = urlsplit(server.url).port
    yield {
        strips: dataclasses.replace(server, url=f"{proxy.origin}{PREFIX}")
        for strips, proxy in proxies.items()
    }
    stop_server(server)
    for proxy in proxies.values():
        proxy.shutdown()
        proxy.server_close()


@pytest.fixture(params=[True, False], ids=["strips", "keeps"])
def server(request, proxies, transactional_db) -> Server:
    """Every request of a page to an address outside of the prefix is a complaint."""
    return proxies[request.param]


@pytest.fixture
def fitness(server, demo):
    add_prompt("fitness", "{input}")
    add_chain("fitness", step("fitness", model="demo-coach", extra={"delay_ms": 15}))


async def sign_in(page, name: str, password: str) -> None:
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def test_a_run_streams_and_its_snippets_name_the_prefix(open_page, server, alice, fitness):
    page = await open_page("/hub/chains/fitness/playground/")
    await sign_in(page, "alice", "a long pass phrase")
    await connected(page)
    await page.locator("[name=input]").fill("Where do I begin?")
    await page.locator("#run").click()

    assert len(await growth_of(page, "#output")) >= 3
    run = await Run.objects.aget()
    assert (run.status, run.source) == ("succeeded", "ws")
    for name in ("curl", "langserve", "requests", "javascript"):
        await expect(page.locator(f"[data-snippet={name}]")).to_contain_text(f"{server.url}/chains/fitness/")
    await expect(page.locator("#history")).to_contain_text("Where do I begin?")
    await page.locator("#history a").first.click()
    await expect(page).to_have_url(f"{server.url}/runs/{run.pk}/")


async def test_each_link_of_the_site_leads_to_a_page(open_page, server, root, fitness):
    page = await open_page("/hub")
    await sign_in(page, "root", "a fourth pass phrase")
    await expect(page).to_have_url(f"{server.url}/")
    links = await page.locator("a[href]").evaluate_all("links => links.map(link => link.href.split('#')[0])")
    assert len(links) > 5

    for link in set(links):
        response = await page.goto(link)
        assert (response.status, link.startswith(f"{server.url}/")) == (200, True), link
    await page.goto(f"{server.url}/docs/")
    await expect(page.locator("#swagger-ui")).to_contain_text("/chains/fitness/invoke")
    await page.goto(f"{server.url}/account/")
    await page.get_by_label("Name").fill("laptop")
    await page.get_by_role("button", name="Create key").click()
    await expect(page.locator("pre").last).to_contain_text(f"curl {server.url}/chains/CHAIN/invoke")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(f"{server.url}/account/sign-in/?next=/hub/")


async def test_a_prompt_is_saved_in_the_admin(open_page, server, root, fitness):
    prompt = await Prompt.objects.aget(slug="fitness")
    change = f"{server.url}/admin/chains/prompt/{prompt.pk}/change/"
    page = await open_page(f"/hub/admin/chains/prompt/{prompt.pk}/change/")
    await page.get_by_label("Username").fill("root")
    await page.get_by_label("Password").fill("a fourth pass phrase")
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_url(change)

    await page.locator("[name=messages-0-content]").fill("Answer {input}")
    await page.get_by_role("button", name="Save draft", exact=True).click()

    await expect(page.locator(".messagelist")).to_contain_text("saved as version 2")
    await expect(page).to_have_url(change)
    latest = await sync_to_async(prompt.latest)()
    assert latest.messages[0]["content"] == "Answer {input}"
    await page.get_by_role("link", name="View site").click()
    await expect(page.get_by_role("heading", name="Chains")).to_be_visible()
    cookies = await page.context.cookies()
    assert {cookie["name"]: cookie["path"] for cookie in cookies} == {
        "sessionid_hub": PREFIX,
        "csrftoken_hub": PREFIX,
    }
