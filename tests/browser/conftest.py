"""Chromium, driven against a server in a process of its own."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from django.conf import settings
from django.test import Client
from playwright.async_api import Browser, Page, async_playwright

from tests.conftest import Server, start_server, stop_server

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One browser for all these tests, in one event loop; without one they are skipped."""
    skip = pytest.mark.skip(reason="No Chromium on this machine (Debian: apt-get install chromium).")
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            if CHROMIUM is None:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def shared_server(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Server]:
    """The one of all tests, with chains in code."""
    log = tmp_path_factory.mktemp("server") / "log"
    server = start_server(log, CHAINHUB_RUNNABLES="tests.browser.runnables")
    yield server
    stop_server(server)


@dataclass
class Complaints:
    """What the page should never do: break its content security policy, throw, or talk to strangers."""

    found: list[str] = field(default_factory=list)

    def listen(self, page: Page, origin: str) -> None:
        page.on("console", lambda m: self.found.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.found.append(str(error)))
        page.on("request", lambda r: self._check(r.url, origin))

    def _check(self, url: str, origin: str) -> None:
        if not url.startswith((origin, origin.replace("http", "ws", 1), "data:", "blob:", "about:")):
            self.found.append(f"a request to {url}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    # The sandbox cannot start as root, as build machines run it; the pages are our own.
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*sandbox, *quiet])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, server: Server) -> Any:
    """``await open_page(path, cookies=..., **context)``: a page, and at the end no complaint."""
    complaints, contexts = Complaints(), []

    async def open_it(path: str, *, cookies: Any = None, **context: Any) -> Page:
        context = {"viewport": {"width": 1280, "height": 900}} | context
        browser_context = await browser.new_context(base_url=server.url, **context)
        contexts.append(browser_context)
        if cookies:
            await browser_context.add_cookies([{"url": server.url, **cookie} for cookie in cookies])
        page = await browser_context.new_page()
        page.set_default_timeout(10_000)
        complaints.listen(page, server.url)
        await page.goto(path)
        return page

    yield open_it
    for browser_context in contexts:
        await browser_context.close()
    assert complaints.found == []


def session_cookies(user: Any) -> list[dict[str, str]]:
    """The cookie of a signed-in session, for tests that are not about signing in."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return [{"name": name, "value": client.cookies[name].value}]


@pytest.fixture
def alice_session(server: Server, alice: Any) -> list[dict[str, str]]:
    return session_cookies(alice)


@pytest.fixture
def root_session(server: Server, root: Any) -> list[dict[str, str]]:
    return session_cookies(root)
