"""What of a client's config counts."""

from uuid import UUID

import pytest

from chains.runtime.errors import InvalidInput
from chains.runtime.wire.config import CONFIG_KEYS, RunConfig, merge_configs, read_config

FULL = {
    "configurable": {"model": "x"},
    "tags": ["a"],
    "metadata": {"b": 1},
    "recursion_limit": 7,
    "max_concurrency": 3,
}


def places(data: object, *, allowed: tuple[str, ...] = CONFIG_KEYS) -> list:
    with pytest.raises(InvalidInput) as refused:
        read_config(data, allowed=allowed)
    return [fault["loc"] for fault in refused.value.errors]


def test_tags_are_united_however_many():
    one, other = [str(i) for i in range(100_000)], [str(i) for i in range(50_000, 150_000)]

    assert merge_configs({"tags": one}, {"tags": other})["tags"] == [str(i) for i in range(150_000)]


@pytest.mark.parametrize("key", CONFIG_KEYS)
def test_only_what_the_chain_allows_is_read_and_what_its_plan_judges(key):
    config = read_config(FULL, allowed=[key])

    assert config.model_dump(exclude_unset=True) == {name: FULL[name] for name in {key, "configurable"}}


@pytest.mark.parametrize(
    "data",
    [
        {"recursionLimit": 1, "maxConcurrency": 1, "runName": "x", "runId": "x"},
        {"run_name": "x", "callbacks": [{"handler": 1}], "store": {}},
        {"base_url": "http://10.0.0.1", "api_key": "sk-mine", "headers": {}},
        {"__class__": 1, "": 2},
    ],
)
def test_other_keys_are_dropped_whatever_they_hold(data):
    assert read_config(data, allowed=CONFIG_KEYS) == RunConfig()


def test_what_is_not_allowed_may_be_malformed():
    config = {"tags": 3, "metadata": [], "recursion_limit": "x", "max_concurrency": {}}

    assert read_config(config, allowed=[]) == RunConfig()


@pytest.mark.parametrize("data", [None, {}, dict.fromkeys((*CONFIG_KEYS, "run_id"))])
def test_what_is_null_is_not_set(data):
    assert read_config(data, allowed=CONFIG_KEYS).model_fields_set == set()


def test_a_run_may_be_named_whatever_the_chain_allows():
    config = read_config({"run_id": "00000000-0000-0000-0000-000000000007"}, allowed=[])

    assert config.run_id == UUID(int=7)


@pytest.mark.parametrize(
    ("data", "loc"),
    [
        ({"run_id": "x"}, ["run_id"]),
        ({"run_id": 7}, ["run_id"]),
        ({"run_id": ["x"]}, ["run_id"]),
        ({"tags": "a"}, ["tags"]),
        ({"tags": {"a": 1}}, ["tags"]),
        ({"tags": ["a", 3]}, ["tags", 1]),
        ({"tags": ["a" * 201]}, ["tags", 0]),
        ({"tags": ["a"] * 51}, ["tags"]),
        ({"metadata": ["a"]}, ["metadata"]),
        ({"metadata": "a"}, ["metadata"]),
        ({"recursion_limit": "many"}, ["recursion_limit"]),
        ({"recursion_limit": 0}, ["recursion_limit"]),
        ({"recursion_limit": 1001}, ["recursion_limit"]),
        ({"recursion_limit": 1.5}, ["recursion_limit"]),
        ({"max_concurrency": 0}, ["max_concurrency"]),
        ({"max_concurrency": 101}, ["max_concurrency"]),
        ({"max_concurrency": 2**62}, ["max_concurrency"]),
    ],
)
def test_another_form_is_refused_by_its_place(data, loc):
    assert places(data) == [loc]


@pytest.mark.parametrize("data", [3, "x", [], [{}], True])
def test_a_config_is_an_object(data):
    assert places(data) == [["config"]]


def test_a_refusal_does_not_repeat_what_was_sent():
    with pytest.raises(InvalidInput) as refused:
        read_config({"metadata": "CANARY", "tags": [{"CANARY": 1}]}, allowed=CONFIG_KEYS)

    assert "CANARY" not in str([str(refused.value), refused.value.errors])


# --- Several configs ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configs", "merged"),
    [
        ([], {}),
        ([None, None], {}),
        ([{"a": 1}, None], {"a": 1}),
        ([{"a": 1, "b": 1}, {"a": 2}], {"a": 2, "b": 1}),
        (
            [{"configurable": {"a": 1, "b": 1}}, {"configurable": {"a": 2}}],
            {"configurable": {"a": 2, "b": 1}},
        ),
        ([{"metadata": {"a": {"x": 1}}}, {"metadata": {"a": {"y": 2}}}], {"metadata": {"a": {"y": 2}}}),
        ([{"tags": ["a", "b"]}, {"tags": ["b", "c"]}], {"tags": ["a", "b", "c"]}),
        ([{"tags": ["a"]}, {"tags": None}], {"tags": None}),
        ([{"configurable": {"a": 1}}, {"configurable": 3}], {"configurable": 3}),
        ([{"configurable": 3}, {"configurable": {"a": 1}}], {"configurable": {"a": 1}}),
    ],
)
def test_later_configs_win_and_tags_are_united(configs, merged):
    assert merge_configs(*configs) == merged


def test_merging_changes_none_of_its_parts():
    first, second = {"tags": ["a"], "metadata": {"a": 1}}, {"tags": ["b"], "metadata": {"b": 1}}

    merge_configs(first, second)

    assert (first, second) == ({"tags": ["a"], "metadata": {"a": 1}}, {"tags": ["b"], "metadata": {"b": 1}})


@pytest.mark.parametrize("config", [3, "x", [], False])
def test_only_objects_are_merged(config):
    with pytest.raises(InvalidInput) as refused:
        merge_configs({}, config)

    assert [fault["loc"] for fault in refused.value.errors] == [["config"]]


# --- For LangChain -----------------------------------------------------------------------------


def test_langchain_gets_what_was_set_and_what_the_server_adds():
    config = read_config(FULL, allowed=CONFIG_KEYS)

    assert config.for_langchain(configurable={"checked": 1}) == {
        "configurable": {"checked": 1},
        "tags": ["a"],
        "metadata": {"b": 1},
        "recursion_limit": 7,
        "max_concurrency": 3,
    }


def test_what_was_not_set_is_left_to_langchain():
    assert RunConfig().for_langchain() == {"metadata": {}}


def test_internal_names_in_metadata_are_the_servers():
    config = read_config({"metadata": {"__useragent": "x", "_own": 1, "own__": 2}}, allowed=CONFIG_KEYS)

    assert config.for_langchain()["metadata"] == {"_own": 1, "own__": 2}


def test_a_config_never_changes():
    config = read_config(FULL, allowed=CONFIG_KEYS)

    with pytest.raises(ValueError, match="frozen"):
        config.run_id = UUID(int=7)
