"""A chain's configuration as data."""

import pytest

from chains.runtime.errors import InvalidSpec
from chains.runtime.names import digest
from chains.runtime.spec.chain import Spec, parse_spec

STEP = {"name": "answer", "prompt": {"slug": "joke"}, "provider": "demo", "model": "demo-echo"}
OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}}


def with_step(**data):
    return {"steps": [STEP | data]}


def with_schema(schema):
    return with_step(parser={"kind": "schema", "json_schema": schema})


def test_a_minimal_spec_has_the_defaults():
    step = parse_spec({"steps": [STEP]}).steps[0]

    assert (step.kind, step.prompt.ref, step.parser.kind) == ("llm", "production", "text")
    assert (step.params.temperature, step.params.max_tokens, step.params.extra) == (None, None, {})


def test_a_spec_survives_storage_and_keeps_its_digest():
    spec = parse_spec(with_schema(OBJECT) | {"fallbacks": [{"provider": "a", "model": "b"}]})
    stored = spec.model_dump(mode="json")

    assert parse_spec(stored) == spec
    assert digest(parse_spec(stored).model_dump(mode="json")) == digest(stored)


def test_a_spec_that_was_stored_before_steps_had_kinds_keeps_its_digest():
    spec = parse_spec({"steps": [STEP]})

    assert (
        digest(spec.model_dump(mode="json"))
        == "0ace22f247d55c26566875689d1fc8bfd10bb070dec19abb7331493868f28b1f"
    )


@pytest.mark.parametrize("kind", ["python", "LLM", "", "{llm}", None, 5, ["llm"], {}])
def test_a_kind_of_step_that_there_is_not_is_refused_in_words(kind):
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(with_step(kind=kind))

    text = f"steps → 0 → kind: There is no step kind {kind!r}; there are: llm"
    assert str(caught.value).startswith(text)


BAD = {
    "nothing": (None, ""),
    "a list": ([], ""),
    "no steps": ({}, "steps: "),
    "empty steps": ({"steps": []}, "steps: "),
    "21 steps": ({"steps": [STEP | {"name": f"s{i}"} for i in range(21)]}, "steps: "),
    "the same name twice": ({"steps": [STEP, STEP]}, "steps: Two steps have the same name."),
    "another kind of step": (with_step(kind="python"), "steps → 0 → kind: "),
    "an unknown key": (with_step(callbacks=[]), "steps → 0 → callbacks: "),
    "a bad step name": (with_step(name="a b"), "steps → 0 → name: "),
    "a bad prompt slug": (with_step(prompt={"slug": "../x"}), "steps → 0 → prompt → slug: "),
    "a slug with a line end": (with_step(provider="demo\n"), "steps → 0 → provider: "),
    "no model": (with_step(model=""), "steps → 0 → model: "),
    "a model of 201": (with_step(model="m" * 201), "steps → 0 → model: "),
    "hot": (with_step(params={"temperature": 2.1}), "steps → 0 → params → temperature: "),
    "NaN": (with_step(params={"temperature": float("nan")}), "steps → 0 → params → temperature: "),
    "no tokens": (with_step(params={"max_tokens": 0}), "steps → 0 → params → max_tokens: "),
    "an unknown parser": (with_step(parser={"kind": "pickle"}), "steps → 0 → parser → kind: "),
    "a parser without its schema": (
        with_step(parser={"kind": "schema"}),
        "steps → 0 → parser: A JSON Schema",
    ),
    "a schema without its parser": (
        with_step(parser={"kind": "json", "json_schema": OBJECT}),
        "steps → 0 → parser: A JSON Schema",
    ),
    "six fallbacks": ({"steps": [STEP], "fallbacks": [{"provider": "a", "model": "b"}] * 6}, "fallbacks: "),
    "no time": ({"steps": [STEP], "timeouts": {"run_s": 0}}, "timeouts → run_s: "),
    "more than an hour": ({"steps": [STEP], "timeouts": {"run_s": 3601}}, "timeouts → run_s: "),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_spec_is_refused_naming_the_place(case):
    data, place = BAD[case]

    with pytest.raises(InvalidSpec) as caught:
        parse_spec(data)

    assert str(caught.value).startswith(place)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "string"}, "describes an object"),
        ({}, "describes an object"),
        ({"type": "object", "properties": 3}, "Not a JSON Schema"),
        ({"type": "obj"}, "Not a JSON Schema"),
        ({"type": "object", "properties": {"a": {"pattern": "(a+)+$"}}}, "'pattern', which may take forever"),
        ({"type": "object", "patternProperties": {"^a": {}}}, "'patternProperties', which may take forever"),
        (
            {"type": "object", "$defs": {"a": {"items": {"uniqueItems": True}}}},
            "'uniqueItems', which may take forever",
        ),
        ({"type": "object", "allOf": [{"$ref": "https://example.com/x"}]}, "another document"),
        ({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}, "another document"),
        ({"type": "object", "properties": {"a": {"$ref": 3}}}, "another document"),
        (
            {"type": "object", "properties": {"a": {"$dynamicRef": "file:///etc/passwd"}}},
            "not supported here",
        ),
        ({"type": "object", "properties": {"a": {"$id": "urn:x"}}}, "not supported here"),
        ({"type": "object", "items": {"$schema": "http://json-schema.org/schema#"}}, "not supported here"),
        ({"type": "object", "items": {"$ref": "#/$defs/none"}}, "no schema at that place"),
        (
            {"type": "object", "default": {"pattern": "(a+)+$"}, "items": {"$ref": "#/default"}},
            "no schema at that place",
        ),
        ({"type": "object", "properties": {"a": {"pattern": "a{99999999999999999999}"}}}, "may take forever"),
        ({"type": "object", "minLength": 1e400}, "Not a JSON Schema"),
    ],
)
def test_a_schema_that_cannot_be_relied_on_is_refused(schema, why):
    with pytest.raises(InvalidSpec, match=why):
        parse_spec(with_schema(schema))


def test_properties_that_are_called_like_keywords_are_properties():
    schema = {
        "type": "object",
        "properties": {"pattern": {"type": "string"}, "uniqueItems": {"enum": [{"pattern": "x"}]}},
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"const": {"$ref": "text"}}},
    }

    assert parse_spec(with_schema(schema)).steps[0].parser.json_schema == schema


def test_limits_are_met_at_n():
    steps = [STEP | {"name": f"s{i}", "model": "m" * 200} for i in range(20)]
    fallbacks = [{"provider": "a" * 64, "model": "b"}] * 5
    assert len(parse_spec({"steps": steps, "fallbacks": fallbacks}).steps) == 20


def test_nothing_of_a_spec_can_be_changed():
    spec = parse_spec({"steps": [STEP]})

    with pytest.raises(ValueError, match="frozen"):
        spec.steps = ()
    assert isinstance(spec, Spec)


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": {"c": 2, "d": "ä"}}) == digest({"b": {"d": "ä", "c": 2}, "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
