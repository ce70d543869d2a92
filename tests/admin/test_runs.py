"""Runs in the admin."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from chains.models import Chain, Run
from tests.admin.conftest import url_of

LIST = "/admin/chains/run/"


@pytest.fixture
def make_run(comedian, alice):
    def make(**fields):
        usual = {
            "chain": comedian,
            "chain_slug": "comedian",
            "chain_version": comedian.latest(),
            "chain_version_number": 1,
            "prompt_versions": {"joke": 1},
            "plan_digest": "0" * 64,
            "user": alice,
            "source": "rest",
            "status": "succeeded",
            "input": {"topic": "cats"},
            "output": "Why did the cat …",
            "calls": [{"step": "answer", "provider": "demo", "model": "demo-echo", "attempts": 1}],
            "input_tokens": 1200,
            "output_tokens": 7,
            "cost_usd": Decimal("0.00012"),
            "latency_ms": 1530,
            "worker": "test/1/1",
        }
        return Run.objects.create(**{**usual, **fields})

    return make


def listed(browser, **query):
    response = browser.client.get(LIST, query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def test_the_list_tells_who_what_when_and_how_much(editor, make_run):
    run = make_run()

    page = editor.client.get(LIST).content.decode()

    cells = ("comedian", "alice", "badge-succeeded", "invoke", "1,200 in, 7 out", "$0.00012", "1.53 s")
    for text in (str(run.pk)[:8], *cells):
        assert text in page


def test_runs_can_be_filtered(editor, make_run, bob, comedian):
    cats, dogs = make_run(), make_run(user=bob, status="failed", source="ws", chain=None)
    yesterday = timezone.now() - timedelta(days=1)
    Run.objects.filter(pk=dogs.pk).update(created_at=yesterday)

    assert listed(editor, status__exact="failed") == [dogs]
    assert listed(editor, source__exact="rest") == [cats]
    assert listed(editor, user__id__exact=bob.pk) == [dogs]
    assert listed(editor, chain__id__exact=comedian.pk) == [cats]
    assert listed(editor, day=str(yesterday.date())) == [dogs]


@pytest.mark.parametrize("day", ["nonsense", "9999-12-31", "2026-02-30", "0001-01-01"])
def test_a_day_that_cannot_be_is_no_crash(editor, make_run, day):
    assert editor.client.get(LIST, {"day": day}, follow=True).status_code == 200


def test_runs_can_be_searched_by_id_and_by_chain(editor, make_run):
    cats, other = make_run(), make_run(chain_slug="fitness", chain=None)

    assert listed(editor, q=str(cats.pk)) == [cats]
    assert listed(editor, q=cats.pk.hex) == [cats]
    assert listed(editor, q=str(cats.pk)[:8]) == [cats]
    assert listed(editor, q="fit") == [other]
    assert listed(editor, q="nothing") == []


def test_a_run_shows_input_output_calls_and_versions(editor, make_run, comedian):
    run = make_run(output={"joke": "Ünïcode"})

    page = editor.client.get(url_of(run)).content.decode()

    for text in ("&quot;topic&quot;: &quot;cats&quot;", "Ünïcode", "demo-echo", "joke, version 1"):
        assert text in page
    assert f"{url_of(comedian, 'versions')}?show=1" in page


def a_try(**data):
    usual = {"started_ms": 12, "ms": 340, "first_ms": None, "outcome": "failed", "code": "", "status": None}
    return {**usual, "detail": {}, **data}


def test_a_run_tells_of_each_try_and_what_the_provider_said(editor, make_run):
    refusal = {"code": "unsupported_value", "param": "temperature", "message": "Not <b>0.2</b>."}
    call = {
        "step": "answer",
        "provider": "openai",
        "model": "gpt",
        "attempts": 2,
        "tries": [
            a_try(code="provider_refused", status=400, detail=refusal),
            a_try(started_ms=352, ms=1200, first_ms=80, outcome="answered"),
        ],
        "finish_reason": "stop",
        "raw_finish_reason": "end_turn",
        "reasoning": "First <i>cats</i>.",
        "token_details": {"cached": 1200, "reasoning": 64, "audio_in": 0},
    }
    run = make_run(calls=[call])

    page = editor.client.get(url_of(run)).content.decode()

    for text in (
        "340 ms",
        "1.20 s",
        "80 ms",
        "<code>provider_refused</code>",
        "status 400, code unsupported_value, parameter temperature: Not &lt;b&gt;0.2&lt;/b&gt;.",
        "stop (end_turn)",
        "1,200 cached, 64 reasoning",
        "First &lt;i&gt;cats&lt;/i&gt;.",
    ):
        assert text in page
    assert "audio" not in page


def test_a_run_from_before_tries_were_recorded_is_shown(editor, make_run):
    old = {
        "step": "answer",
        "provider": "demo",
        "model": "demo-echo",
        "attempts": 3,
        "finish_reason": "length",
    }
    run = make_run(
        calls=[old, {"step": "last", "provider": "demo", "model": "m", "attempts": 1, "tries": []}]
    )

    page = editor.client.get(url_of(run)).content.decode()

    assert "<td>length</td>" in page
    assert 'table class="tries"' not in page
    assert "What the model thought" not in page


def test_what_a_model_answers_is_never_markup(editor, make_run):
    run = make_run(output="<script>alert(1)</script>", input={"x": "<img src=x>"})

    page = editor.client.get(url_of(run)).content.decode()

    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_run_that_failed_says_why_and_outlives_its_chain_and_user(editor, make_run):
    run = make_run(
        status="failed", error_code="provider_timeout", error_message="Too slow.", chain=None, user=None
    )

    page = editor.client.get(url_of(run)).content.decode()

    for text in ("provider_timeout", "Too slow.", "comedian, version 1 (deleted)", "deleted user"):
        assert text in page


def test_a_run_of_a_chain_in_code_names_its_package_and_shows_its_config(editor, make_run):
    code = Chain.objects.create(slug="shout", kind="code")
    run = make_run(
        chain=code,
        chain_slug="shout",
        chain_version=None,
        chain_version_number=None,
        package="jokes 1.2.0",
        source="events",
        config={"configurable": {"volume": 11}},
    )

    assert "shout (jokes 1.2.0)" in editor.client.get(LIST).content.decode()
    page = editor.client.get(url_of(run)).content.decode()
    for text in ("shout, jokes 1.2.0", "&quot;volume&quot;: 11", "stream_events", url_of(code)):
        assert text in page


def test_a_run_shows_its_feedback(editor, make_run, bob):
    run = make_run()
    run.feedback.create(user=bob, key="thumbs", score=0, comment="Too <b>long</b>.")
    run.feedback.create(user=None, key="tone", value={"formal": True}, score=0.25)

    page = editor.client.get(url_of(run)).content.decode()

    for text in ("thumbs", "Too &lt;b&gt;long", "bob", "{&quot;formal&quot;: true}", "0.25", "deleted user"):
        assert text in page


def test_runs_can_be_filtered_by_feedback(editor, make_run, bob):
    good, bad, other, plain = (make_run() for _ in range(4))
    good.feedback.create(user=bob, key="thumbs", score=1)
    good.feedback.create(user=bob, key="tone", score=0)
    bad.feedback.create(user=bob, key="thumbs", score=0)
    other.feedback.create(user=bob, key="tone", score=1)

    assert listed(editor, feedback="up") == [good]
    assert listed(editor, feedback="down") == [bad]
    assert listed(editor, feedback="any") == [other, bad, good]
    assert listed(editor, feedback="nonsense") == [plain, other, bad, good]
    page = editor.client.get(LIST).content.decode()
    assert [page.count(f'aria-label="{name}"') for name in ("Thumbs up", "Thumbs down", "Feedback")] == [
        1
    ] * 3


def test_nobody_writes_runs(superuser, make_run):
    run = make_run()

    for url in (f"{LIST}add/", url_of(run, "delete"), url_of(run)):
        assert superuser.client.post(url, {"status": "failed", "post": "yes"}).status_code == 403
    superuser.client.post(LIST, {"action": "delete_selected", "_selected_action": [run.pk], "post": "yes"})
    assert Run.objects.get().status == "succeeded"


def test_a_longer_list_needs_no_more_queries(editor, make_run, django_assert_max_num_queries):
    for _ in range(60):
        make_run().feedback.create(key="thumbs", score=1)

    with django_assert_max_num_queries(14) as queries:
        editor.client.get(LIST)
    counts = [q["sql"] for q in queries.captured_queries if "COUNT(" in q["sql"]]
    assert counts
    assert not [sql for sql in counts if "JOIN" in sql]
