"""The pages, through their addresses."""

import json
import re
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import InterfaceError, OperationalError, connection
from django.template.loader import render_to_string
from django.test import Client

from chains.models import Chain, Prompt, Run
from tests.playground.conftest import publish_fitness

# The same in every process that collects these tests.
NOBODYS = "8b310562-d140-4292-8aae-9775dfc2736e"
PLAYGROUND = "/chains/fitness/playground/"


def page(client, path, **params):
    response = client.get(path, params)
    assert response.status_code == 200, response
    return response.content.decode()


def script_config(html):
    data = re.search(
        r'<script id="playground-config" type="application/json">(.*?)</script>', html, re.DOTALL
    )
    return json.loads(data[1])


@pytest.mark.parametrize(
    "path",
    ["/", PLAYGROUND, f"{PLAYGROUND}runs/", f"/runs/{NOBODYS}/", "/chains/none/playground/"],
)
def test_signed_out_every_page_leads_to_sign_in(path, fitness):
    response = Client().get(path)
    assert (response.status_code, response.url.partition("?")[0]) == (302, "/account/sign-in/")


def test_home_lists_the_chains_one_may_run(signed_in, fitness):
    html = page(signed_in, "/")
    assert f'href="{PLAYGROUND}"' in html
    assert "What fitness does." in html
    assert "Not run by you yet" in html


def test_home_leaves_out_chains_that_cannot_be_run(signed_in, fitness):
    Chain.objects.create(slug="draft", name="Unpublished")
    disabled = Chain.objects.create(slug="off", name="Disabled", enabled=False)
    hidden = Chain.objects.create(slug="hidden", name="Hidden", access=Chain.Access.GROUPS)
    hidden.groups.add(Group.objects.create(name="others"))
    for chain in (disabled, hidden):
        chain.point("production", chain.add_version(author=None, spec={}), by=None)
    html = page(signed_in, "/")
    assert "Fitness" in html
    assert not re.search("Unpublished|Disabled|Hidden", html)


def test_home_links_ones_own_last_run(signed_in, alice, bob, record_run):
    mine = record_run(alice)
    record_run(bob, input={"input": "secret"})
    html = page(signed_in, "/")
    assert f"/runs/{mine.id}/" in html
    assert html.count("/runs/") == 1


def test_home_without_chains_says_so(signed_in):
    assert "No chains yet." in page(signed_in, "/")


def test_the_playground_shows_a_form_from_the_schema(signed_in, letter):
    html = page(signed_in, "/chains/letter/playground/")
    for name in ("recipient", "points", "tone", "paragraphs", "history"):
        assert f'name="{name}"' in html
    assert "Who it is for." in html
    assert '<option value="kind" selected>' in html
    for hook in ("run", "stop", "output", "status", "first-token", "total-time", "tokens", "cost"):
        assert f'id="{hook}"' in html


def test_the_playground_of_a_version_calls_that_version(signed_in, fitness):
    config = script_config(page(signed_in, "/chains/fitness@1/playground/"))
    assert config["socket_path"] == "/ws/chains/fitness@1/"
    assert config["chain_path"] == "/chains/fitness@1"


@pytest.mark.parametrize(
    "ref", ["none", "fitness@none", "fitness@2", "fitness@99999999999999999999", "FITNESS"]
)
def test_an_unknown_chain_label_or_version_is_not_found(ref, signed_in, fitness):
    assert signed_in.get(f"/chains/{ref}/playground/").status_code == 404


@pytest.mark.parametrize("ref", ["%00", "a@b@c", "fitness@", "fitness%0a", "ü", "x" * 65])
def test_what_is_no_ref_is_not_found(ref, signed_in, fitness):
    assert signed_in.get(f"/chains/{ref}/playground/").status_code == 404


def test_a_disabled_chain_is_not_found(signed_in, fitness):
    Chain.objects.update(enabled=False)
    assert signed_in.get(PLAYGROUND).status_code == 404


def test_a_chain_that_cannot_run_says_why(signed_in, fitness):
    Prompt.objects.get().labels.all().delete()
    response = signed_in.get(PLAYGROUND)
    assert response.status_code == 503
    assert "cannot run" in response.content.decode()


def test_markup_in_a_chain_is_shown_as_text(signed_in, fitness):
    Chain.objects.update(name="<script>alert(1)</script>", description="</script><img src=x>")
    html = page(signed_in, PLAYGROUND)
    assert "<script>alert(1)" not in html
    assert "<img src=x>" not in html


def test_no_page_has_inline_script_or_style(signed_in, alice, record_run):
    for path in ("/", PLAYGROUND, f"/runs/{record_run(alice).id}/"):
        html = page(signed_in, path)
        assert not re.search(r'\son\w+="|\sstyle="|<style|javascript:', html)
        for attributes, body in re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL):
            assert 'type="application/json"' in attributes or not body.strip()


def test_the_last_runs_are_ones_own(signed_in, alice, bob, record_run):
    mine = record_run(alice, cost_usd=Decimal("0.0012"), latency_ms=1500)
    record_run(bob, input={"input": "secret"})
    assert "secret" not in page(signed_in, PLAYGROUND)
    [row] = json.loads(page(signed_in, f"{PLAYGROUND}runs/"))["runs"]
    assert row == {
        "url": f"/runs/{mine.id}/",
        "again_url": f"{PLAYGROUND}?from={mine.id}",
        "status": "succeeded",
        "status_text": "Done",
        "excerpt": "How do I begin?",
        "version": "version 1",
        "duration": "1.50 s",
        "cost": "$0.0012",
        "created_at": mine.created_at.isoformat(),
        "created_text": f"{mine.created_at:%Y-%m-%d %H:%M} UTC",
    }


def test_an_earlier_input_can_be_used_again(signed_in, alice, record_run):
    run = record_run(alice, input={"input": "Once more <b>"})
    assert "Once more &lt;b&gt;</textarea>" in page(signed_in, PLAYGROUND, **{"from": run.id})


@pytest.mark.parametrize("value", ["nonsense", NOBODYS, "\x00"])
def test_an_unknown_earlier_run_leaves_the_form_empty(value, signed_in, fitness):
    assert page(signed_in, PLAYGROUND, **{"from": value})


def test_nobody_elses_input_can_be_used_again(signed_in, bob, record_run):
    run = record_run(bob, input={"input": "secret"})
    assert "secret" not in page(signed_in, PLAYGROUND, **{"from": run.id})


def test_a_run_has_a_page_with_all_its_figures(signed_in, alice, record_run):
    run = record_run(
        alice,
        output="<b>Slowly</b>",
        calls=[{"provider": "demo", "model": "demo-coach"}],
        input_tokens=7,
        output_tokens=1234,
        first_token_ms=80,
        latency_ms=2500,
        finish_reason="stop",
    )
    html = page(signed_in, f"/runs/{run.id}/")
    assert "&lt;b&gt;Slowly&lt;/b&gt;" in html
    for text in ("80 ms", "2.50 s", "7 in, 1,234 out", "unknown", "fitness v1", "demo/demo-coach"):
        assert text in html
    assert f"{PLAYGROUND}?from={run.id}" in html


def test_a_failed_run_shows_its_error(signed_in, alice, record_run):
    run = record_run(
        alice, status=Run.Status.FAILED, output=None, error_code="provider_cut", error_message="Cut."
    )
    html = page(signed_in, f"/runs/{run.id}/")
    assert "provider_cut" in html
    assert "Cut." in html


def test_a_foreign_run_is_not_found_like_one_that_does_not_exist(signed_in, bob, record_run):
    foreign = signed_in.get(f"/runs/{record_run(bob).id}/")
    missing = signed_in.get(f"/runs/{NOBODYS}/")
    assert foreign.status_code == missing.status_code == 404
    # The token that signs the sign-out form is masked anew for each page.
    bodies = {re.sub(r'value="\w{64}"', "", r.content.decode()) for r in (foreign, missing)}
    assert len(bodies) == 1


def test_staff_sees_no_foreign_run_either(alice, bob, record_run):
    alice.is_staff = alice.is_superuser = True
    alice.save()
    client = Client()
    client.force_login(alice)
    assert client.get(f"/runs/{record_run(bob).id}/").status_code == 404


def test_a_failed_run_leads_staff_to_its_calls(root, alice, record_run):
    client = Client()
    for user, is_led in ((root, True), (alice, False)):
        client.force_login(user)
        run = record_run(user, status="failed", error_code="provider_cut")
        assert (f"/admin/chains/run/{run.id}/change/" in page(client, f"/runs/{run.id}/")) is is_led


@pytest.mark.parametrize("path", ["/", PLAYGROUND, f"{PLAYGROUND}runs/"])
def test_pages_take_no_posts(path, signed_in, fitness):
    assert signed_in.post(path).status_code == 405


def test_error_pages_need_no_context():
    assert "Something broke" in render_to_string("500.html")
    assert "cannot answer right now" in render_to_string("503.html")


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("path", ["/", "/account/", "/admin/chains/chain/"])
def test_a_page_during_an_outage_of_the_database_asks_to_come_back(root, path, error):
    client = Client(raise_request_exception=False)
    client.force_login(root)

    def away(*_):
        raise error("The database has gone away")

    with connection.execute_wrapper(away):
        response = client.get(path)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "cannot answer right now" in response.content.decode()


async def test_without_script_the_form_runs_the_chain_and_shows_the_run(signed_in_async):
    await sync_to_async(publish_fitness)()
    response = await signed_in_async.post(f"{PLAYGROUND}run/", {"input": "Hello"})
    run = await Run.objects.aget()
    assert (response.status_code, response.url) == (302, f"/runs/{run.id}/")
    assert (run.status, run.input) == ("succeeded", {"input": "Hello"})
    assert "Hello" in run.output


async def test_without_script_an_empty_field_is_named_and_nothing_runs(signed_in_async):
    await sync_to_async(publish_fitness)()
    response = await signed_in_async.post(f"{PLAYGROUND}run/", {"input": ""})
    assert response.status_code == 422
    assert "This field is required." in response.content.decode()
    assert not await Run.objects.aexists()


async def test_without_script_an_unknown_chain_is_not_found(signed_in_async):
    response = await signed_in_async.post("/chains/none/playground/run/", {"input": "Hello"})
    assert response.status_code == 404
