"""The test of a provider, and the suggestions of its models."""

import json

import pytest
from django.utils import timezone

from chains.actions.providers import suggested_models, try_out
from chains.models import LearnedHabit, Price, Provider, Run
from tests.conftest import free_port
from tests.upstream import answers, body, fails, held, html, rate_limited
from tests.upstream.completions import completion

FITTING = answers('{"word": "hello"}')
KEY = "sk-test-CANARY-0123456789"


@pytest.fixture
def listed(upstream):
    upstream.models = ["test-model", "b", "c", "d", "e", "f"]
    return upstream


def states(trial):
    return {check.name: check.state for check in trial.checks}


def texts(trial):
    return {check.name: check.text for check in trial.checks}


def check_of(trial, name):
    return next(check for check in trial.checks if check.name == name)


def test_a_test_tells_in_words_what_works(openai, listed):
    listed.script(answers("Hello."), answers("Hello there."), FITTING)

    trial = try_out(openai, "test-model")

    assert set(states(trial).values()) == {"works"}
    told = texts(trial)
    assert told["Reached"].startswith("The provider answered in ")
    assert told["Key"] == "The provider accepted it."
    assert told["Models"] == "6 found: test-model, b, c, d, e …"
    assert told["Streams"].startswith("The first token came after ")
    assert told["Token counts"] == "Given with whole and streamed answers."
    assert told["JSON Schema"] == (
        "The answer fits. It was asked for by the provider's own parameter for schemas (json_schema)."
    )
    assert trial.models == tuple(listed.models)


def test_a_test_is_a_list_and_three_short_calls_and_no_run(openai, listed):
    try_out(openai, "test-model")

    listing, whole, streamed, schema = listed.requests
    assert listing.method == "GET"
    assert [request.stream for request in (whole, streamed, schema)] == [False, True, False]
    assert all(request.body["max_tokens"] <= 200 for request in (whole, streamed, schema))
    assert schema.body["response_format"]["type"] == "json_schema"
    assert not Run.objects.exists()


def test_what_refusals_teach_is_used_at_once_kept_and_told(openai, listed):
    listed.script(
        fails(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        answers("Hello."),
        fails(400, "stream_options is not supported"),
        answers("Hello."),
        fails(400, "response_format json_schema is not supported"),
        FITTING,
    )

    trial = try_out(openai, "test-model")

    learned = {
        "token_limit": "max_completion_tokens",
        "usage_in_streams": "never",
        "json_schema": "json_object",
    }
    assert {each.habit: each.value for each in trial.learned} == learned
    assert dict(LearnedHabit.objects.values_list("habit", "value")) == learned
    assert [
        sorted({"max_tokens", "max_completion_tokens"} & set(r.body or ())) for r in listed.requests[2:]
    ] == [["max_completion_tokens"]] * 5
    assert check_of(trial, "Token counts").state == "fails"
    assert "streamed" in texts(trial)["Token counts"]
    assert "json_object" in texts(trial)["JSON Schema"]


def test_answers_without_a_text_do_not_work(openai, listed):
    listed.script(body(completion("", "content_filter")), body(completion("")), FITTING)

    trial = try_out(openai, "test-model")

    whole, streamed = (check_of(trial, name) for name in ("Whole answers", "Streams"))
    assert (whole.state, whole.code, streamed.state) == ("fails", "answer_empty", "fails")
    assert "It ended with 'content_filter'." in whole.text


def test_a_provider_that_does_not_stream_says_so(openai, listed):
    openai.habits = {"streaming": "never"}

    trial = try_out(openai, "test-model")

    assert (
        texts(trial)["Streams"] == "The provider does not stream. ChainHub asks it for whole answers instead."
    )
    assert not any(request.stream for request in listed.requests)


def test_a_provider_that_only_streams_says_so(openai, listed):
    openai.habits = {"streaming": "only"}

    trial = try_out(openai, "test-model")

    assert "only streams" in texts(trial)["Whole answers"]
    assert all(request.stream for request in listed.requests[1:])


def test_a_failure_has_the_providers_words_without_the_key(openai, listed):
    listed.script(fails(401, "Incorrect API key: {key}", "invalid_api_key"))

    trial = try_out(openai, "test-model")

    key = check_of(trial, "Key")
    assert (key.state, key.code) == ("fails", "provider_auth_failed")
    assert (key.told.status, key.told.code, key.told.message) == (
        401,
        "invalid_api_key",
        "Incorrect API key: …",
    )
    assert states(trial) == {
        "Reached": "works",
        "Key": "fails",
        "Models": "works",
        "Whole answers": "fails",
        "Streams": "unknown",
        "Token counts": "unknown",
        "JSON Schema": "unknown",
    }
    assert len(listed.requests) == 2
    assert KEY not in str(trial)


def test_a_provider_without_a_list_is_called_all_the_same(openai, upstream):
    upstream.script(answers("Hello."), answers("Hello."), FITTING)

    trial = try_out(openai, "test-model")

    assert states(trial).pop("Models") == "unknown"
    assert list(states(trial).values()).count("works") == 6


def test_a_list_that_is_refused_does_not_end_the_test(openai, upstream):
    upstream.models = fails(401, "This key may not list models")
    upstream.script(answers("Hello."), answers("Hello."), FITTING)

    trial = try_out(openai, "test-model")

    assert check_of(trial, "Models").code == "provider_auth_failed"
    assert texts(trial)["Key"] == "The provider accepted it."
    assert states(trial)["JSON Schema"] == "works"


def test_a_model_that_is_not_in_the_list_is_named(openai, listed):
    assert "'other' is not one of them." in texts(try_out(openai, "other"))["Models"]


def test_an_unreachable_provider_ends_the_test_at_once(openai):
    openai.base_url = f"http://127.0.0.1:{free_port()}/v1"

    trial = try_out(openai, "test-model")

    assert check_of(trial, "Reached").code == "provider_unreachable"
    assert texts(trial)["Whole answers"] == "Not tried, because of the failure above."
    assert "works" not in states(trial).values()


def test_a_provider_that_hangs_is_waited_for_within_the_limits(openai, listed):
    openai.answer_timeout_s = 0.1
    listed.script(held("never"))

    trial = try_out(openai, "test-model")

    assert check_of(trial, "Whole answers").code == "provider_timeout"
    assert states(trial)["Streams"] == "unknown"
    assert states(trial)["Reached"] == "works"


@pytest.mark.parametrize("behaviour", [rate_limited(None), rate_limited("3600")])
def test_no_test_waits_for_a_rate_limit(openai, listed, behaviour):
    listed.script(*[behaviour] * 3)

    trial = try_out(openai, "test-model")

    assert check_of(trial, "Whole answers").told.status == 429
    assert states(trial)["JSON Schema"] == "unknown"


def test_a_web_page_is_an_answer_but_none_of_a_model(openai, upstream):
    upstream.models = html()
    upstream.script(html(), html(), html())

    trial = try_out(openai, "test-model")

    assert states(trial)["Reached"] == "works"
    assert check_of(trial, "Whole answers").code == "provider_garbage"
    assert states(trial)["Key"] == "unknown"


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (answers("Hello."), "fails", "its answer does not fit"),
        (answers('{"word": "hel', finish_reason="length"), "unknown", "not complete after 200 tokens"),
        (answers(json.dumps({"word": 3})), "fails", "does not fit"),
    ],
)
def test_an_answer_beside_the_schema_is_no_success(openai, listed, answer, state, words):
    listed.script(answers("Hello."), answers("Hello."), answer)

    check = check_of(try_out(openai, "test-model"), "JSON Schema")

    assert check.state == state
    assert words in check.text


def test_the_demo_and_a_provider_that_is_off_can_be_tested(demo):
    demo.enabled = False

    trial = try_out(demo, "demo-echo")

    assert set(states(trial).values()) == {"works"}
    assert texts(trial)["Key"] == "None is stored, and the provider asked for none."


# --- Suggestions -------------------------------------------------------------------------------


def test_models_with_a_price_and_listed_ones_are_suggested_once(openai, listed):
    for model in ("f", "priced", "priced"):
        Price.objects.create(
            provider=openai, model=model, input_usd=1, output_usd=1, valid_from=timezone.now()
        )

    assert suggested_models(openai) == ["f", "priced", "test-model", "b", "c", "d", "e"]


def test_a_list_is_kept_for_a_moment_and_asked_for_again_after_a_change(openai, listed):
    for _ in range(3):
        suggested_models(openai)
    assert len(listed.requests) == 1

    listed.models = ["new"]
    openai.save()

    assert suggested_models(openai) == ["new"]


def test_a_list_that_fails_is_empty_and_not_asked_for_again_at_once(openai, upstream):
    assert suggested_models(openai) == suggested_models(openai) == []
    assert len(upstream.requests) == 1
    unlisted = Provider.objects.create(
        slug="gone", kind="openai", base_url=f"http://127.0.0.1:{free_port()}/v1"
    )
    assert suggested_models(unlisted) == []
