"""Every page, by the rules of axe-core, in both colour schemes."""

from importlib.resources import files

import pytest

from tests.conftest import add_chain, add_prompt, step

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()


@pytest.fixture
def fitness(server, demo):
    add_prompt("fitness", "{input}")
    add_chain("fitness", step("fitness"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_breaks_a_rule_of_accessibility(open_page, alice_session, fitness, scheme):
    found = []
    for path in ("/", "/chains/fitness/playground/", "/account/"):
        page = await open_page(path, cookies=alice_session, color_scheme=scheme)
        await page.evaluate(AXE)
        results = await page.evaluate("axe.run()")
        found += [(path, fault["id"], fault["nodes"][0]["html"]) for fault in results["violations"]]

    assert found == []
