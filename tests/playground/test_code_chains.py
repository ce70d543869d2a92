"""The pages of chains in code, and of chains that let their callers choose."""

import re

import pytest
from asgiref.sync import sync_to_async
from django.utils.html import escape
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import ConfigurableField, RunnableLambda

from chains.actions.codechains import record_registered
from chains.models import Chain, Provider, Run
from chains.runtime.registry import register
from tests.conftest import add_chain, add_prompt, step

CHOOSY = "/chains/choosy/playground/"


@pytest.fixture
def shout(db, registry):
    register("shout", RunnableLambda(str.upper).with_types(input_type=str), description="Louder.")
    record_registered()


def publish_choosy() -> None:
    """A chain whose model callers may choose."""
    Provider.objects.get_or_create(slug="demo", kind="demo")
    add_prompt("choosy", "{topic}")
    option = {"name": "model", "step": "answer", "field": "model", "choices": ["demo-coach"]}
    heat = {"name": "heat", "step": "answer", "field": "temperature", "maximum": 1}
    add_chain("choosy", step("choosy"), configurable=[option, heat])


@pytest.fixture
def choosy(db):
    publish_choosy()


def html_of(client, path):
    response = client.get(path)
    assert response.status_code == 200, response
    return response.content.decode()


def test_home_lists_chains_in_code(signed_in, shout):
    html = html_of(signed_in, "/")
    assert 'href="/chains/shout/playground/"' in html
    assert "in code" in html


def test_home_leaves_out_a_chain_whose_code_is_gone(signed_in, db):
    Chain.objects.create(slug="gone", kind=Chain.Kind.CODE)
    assert "gone" not in html_of(signed_in, "/")


def test_home_does_not_link_a_chain_without_playground(signed_in, fitness):
    Chain.objects.update(disabled_endpoints=["playground"])
    html = html_of(signed_in, "/")
    assert "Fitness" in html
    assert "API only" in html
    assert "/chains/fitness/playground/" not in html


def test_home_shows_a_chain_with_many_labels_once(signed_in, fitness):
    fitness.point("staging", fitness.latest(), by=None)
    assert html_of(signed_in, "/").count('href="/chains/fitness/playground/"') == 1


def test_a_chain_in_code_shows_its_package_for_a_version(signed_in, shout):
    html = html_of(signed_in, "/chains/shout/playground/")
    assert '<span class="tag">tests</span>' in html
    assert "Louder." in html


def test_a_type_without_a_schema_is_told_and_breaks_no_page(signed_in, db, registry):
    class Opaque:
        pass

    register("opaque", RunnableLambda(lambda value: value).with_types(input_type=Opaque))
    assert signed_in.get("/chains/opaque/playground/").status_code == 503


def test_what_callers_may_choose_is_a_closed_section(signed_in, choosy, fitness):
    html = html_of(signed_in, CHOOSY)
    assert re.search(r'<details class="config" id="config"\s*>', html)
    assert 'name="configurable-model"' in html
    assert 'id="config"' not in html_of(signed_in, "/chains/fitness/playground/")


def test_a_chain_that_takes_no_config_shows_no_section(signed_in, choosy):
    Chain.objects.update(config_keys=[])
    assert 'id="config"' not in html_of(signed_in, CHOOSY)


def test_an_earlier_choice_is_used_again_and_in_sight(signed_in, alice, choosy, record_run):
    run = record_run(alice, chain_slug="choosy", config={"configurable": {"model": "demo-coach"}})
    html = html_of(signed_in, f"{CHOOSY}?from={run.id}")
    assert re.search(r'<details class="config" id="config"\s+open>', html)
    assert '<option value="demo-coach" selected>' in html


def test_what_code_lets_callers_choose_is_in_the_form(signed_in, db, registry):
    model = FakeListChatModel(responses=["a"]).configurable_fields(
        sleep=ConfigurableField(id="sleep", name="Seconds between letters")
    )
    register("model", model | StrOutputParser())
    assert "Seconds between letters" in html_of(signed_in, "/chains/model/playground/")


async def test_without_script_the_choice_is_sent_too(signed_in_async):
    await sync_to_async(publish_choosy)()
    form = {"topic": "cats", "configurable-model": "demo-coach", "configurable-heat": ""}
    response = await signed_in_async.post(f"{CHOOSY}run/", form)
    run = await Run.objects.aget()
    assert (response.status_code, run.status) == (302, "succeeded")
    assert run.config == {"configurable": {"model": "demo-coach"}}


async def test_without_script_a_wrong_choice_is_named_at_its_field(signed_in_async):
    await sync_to_async(publish_choosy)()
    response = await signed_in_async.post(f"{CHOOSY}run/", {"topic": "cats", "configurable-heat": "7"})
    html = response.content.decode()
    assert response.status_code == 422
    assert re.search(r'<details class="config" id="config"\s+open>', html)
    assert re.search(r'id="configurable-field-1-error" data-error>\s*Ensure', html)


# --- What people said -----------------------------------------------------------------------------


def test_the_page_of_a_run_shows_what_was_said_of_it(signed_in, alice, record_run):
    run = record_run(alice)
    run.feedback.create(user=alice, key="thumbs", score=0, comment="Too <short>")
    run.feedback.create(user=alice, key="grade", value="B")
    html = html_of(signed_in, f"/runs/{run.id}/")
    assert re.search(r'data-score="0" aria-pressed="true"', html)
    assert re.search(r'data-score="1" aria-pressed="false"', html)
    assert escape("Too <short>") in html
    assert "Feedback: grade" in html


def test_a_chain_that_takes_no_feedback_offers_none(signed_in, alice, record_run):
    run = record_run(alice)
    run.feedback.create(user=alice, key="thumbs", score=1)
    assert "data-thumbs" in html_of(signed_in, "/chains/fitness/playground/")
    Chain.objects.update(disabled_endpoints=["feedback"])
    assert "data-thumbs" not in html_of(signed_in, "/chains/fitness/playground/")
    html = html_of(signed_in, f"/runs/{run.id}/")
    assert "data-thumbs" not in html
    assert "You found this answer good." in html


def test_the_page_of_a_run_links_nothing_that_its_chain_does_not_offer(signed_in, alice, record_run):
    run = record_run(alice)
    Chain.objects.update(disabled_endpoints=["playground"])
    assert "/chains/fitness/" not in html_of(signed_in, f"/runs/{run.id}/").replace("/feedback", "")
    Chain.objects.all().delete()
    assert "/chains/fitness/" not in html_of(signed_in, f"/runs/{run.id}/")


def test_the_page_of_a_run_shows_the_choice_and_spares_the_bytes_of_files(signed_in, alice, record_run):
    config = {"configurable": {"model": "demo-coach"}}
    run = record_run(alice, input={"file": "QUJD" * 1000}, config=config)
    html = html_of(signed_in, f"/runs/{run.id}/")
    assert "4,000 characters of base64" in html
    assert "QUJD" * 100 not in html
    assert "demo-coach" in html
