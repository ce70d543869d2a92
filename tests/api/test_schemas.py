"""GET /chains/<ref>/*_schema: bare JSON Schema, as it stands for the ref."""

import pytest
from asgiref.sync import sync_to_async

from chains.models import Run
from tests.api.conftest import is_error
from tests.conftest import add_chain, add_prompt, step

VARIABLES = [
    {"name": "count", "type": "integer", "default": 3, "description": "How many"},
    {"name": "mood", "type": "choice", "choices": ["gay", "grim"]},
]


@pytest.fixture
def typed(demo):
    add_prompt("joke", "{topic} {count} {mood}", variables=VARIABLES)
    return add_chain("joke", step())


async def test_the_input_schema_says_what_the_prompt_asks_for(api, joke):
    response = await api.get("/chains/joke/input_schema")

    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {
        "title": "PromptInput",
        "type": "object",
        "properties": {"topic": {"title": "Topic", "type": "string"}},
        "required": ["topic"],
    }


async def test_the_input_schema_knows_types_defaults_and_choices(api, typed):
    schema = (await api.get("/chains/joke/input_schema")).json()

    assert schema["required"] == ["topic", "mood"]
    assert schema["properties"]["count"] == {
        "title": "Count",
        "type": "integer",
        "default": 3,
        "description": "How many",
    }
    assert schema["properties"]["mood"]["enum"] == ["gay", "grim"]


@pytest.mark.parametrize(
    ("parser", "kind"),
    [({"kind": "text"}, "string"), ({"kind": "list"}, "array"), ({"kind": "message"}, "object")],
)
async def test_the_output_schema_follows_the_parser(api, demo, parser, kind):
    await sync_to_async(add_prompt)("joke")
    await sync_to_async(add_chain)("joke", step(parser=parser))

    assert (await api.get("/chains/joke/output_schema")).json()["type"] == kind


async def test_the_output_schema_is_the_parsers_own(api, demo):
    own = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    await sync_to_async(add_prompt)("joke")
    await sync_to_async(add_chain)("joke", step(parser={"kind": "schema", "json_schema": own}))

    assert (await api.get("/chains/joke/output_schema")).json() == own


async def test_the_config_schema_offers_nothing(api, joke):
    schema = (await api.get("/chains/joke/config_schema")).json()

    assert (schema["type"], schema["properties"]) == ("object", {})


async def test_a_schema_belongs_to_its_version(api, joke):
    await sync_to_async(add_prompt)("other", "{name}")
    await sync_to_async(add_chain)("joke", step("other"))

    asked = [(await api.get(f"/chains/joke{ref}/input_schema")).json() for ref in ("@1", "", "@latest")]

    assert [schema["required"] for schema in asked] == [["topic"], ["name"], ["name"]]


async def test_a_session_may_read_a_schema_without_a_csrf_token(anonymous, joke, alice):
    await anonymous.client.aforce_login(alice)

    assert (await anonymous.get("/chains/joke/input_schema")).status_code == 200


async def test_reading_a_schema_runs_nothing(api, joke):
    await api.get("/chains/joke/input_schema", Accept="text/event-stream")

    assert not await Run.objects.aexists()


async def test_the_schema_of_a_chain_that_cannot_run_is_503(api, joke, demo):
    demo.enabled = False
    await demo.asave()

    assert is_error(await api.get("/chains/joke/input_schema"), 503, "invalid_spec")
