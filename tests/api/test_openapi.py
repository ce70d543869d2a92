"""/openapi.json and /docs/: the API described, with each chain's own schemas."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.test import Client
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from chains.models import Chain
from tests.conftest import add_chain, add_prompt, step

JSON = "application/json"
NESTED = {
    "type": "object",
    "properties": {"answer": {"$ref": "#/$defs/Answer"}, "next": {"$ref": "#"}},
    "required": ["answer"],
    "$defs": {"Answer": {"type": "integer"}},
}


@pytest.fixture
def as_alice(alice_key):
    return Client(headers={"Authorization": f"Bearer {alice_key}"})


def document(client, **headers) -> dict:
    response = client.get("/openapi.json", headers=headers)
    assert response.status_code == 200
    return response.json()


def faults(spec: dict, path: str, value: object, *, output: bool = False) -> list[str]:
    """What a client that follows the whole document finds wrong with a body."""
    registry = Registry().with_resource("urn:document", Resource(spec, DRAFT202012))
    steps = ["paths", path, "post", "responses", "200"] if output else ["paths", path, "post", "requestBody"]
    steps += ["content", JSON, "schema"]
    pointer = "/".join(part.replace("/", "~1") for part in steps)
    validator = Draft202012Validator({"$ref": f"urn:document#/{pointer}"}, registry=registry)
    return [error.json_path for error in validator.iter_errors(value)]


def test_the_document_is_valid_openapi_of_version_3_1(as_alice, joke):
    spec = document(as_alice)

    validate_schema(spec)
    assert spec["openapi"].startswith("3.1.")


def test_a_chains_own_schemas_are_in_it(as_alice, demo):
    add_prompt("joke", "{topic} {count}", variables=[{"name": "count", "type": "integer"}])
    add_chain("joke", step(parser={"kind": "list"}))

    spec = document(as_alice)

    for path in ("/chains/joke/invoke", "/chains/joke/stream"):
        assert faults(spec, path, {"input": {"topic": "x", "count": 1}, "config": {}}) == []
        assert faults(spec, path, {"input": {"topic": "x", "count": "1"}}) == ["$.input.count"]
        assert faults(spec, path, {"input": {"count": 1}}) == ["$.input"]
    assert faults(spec, "/chains/joke/invoke", {}) == ["$"]
    assert faults(spec, "/chains/joke/batch", {"inputs": [{"topic": "x", "count": 1}]}) == []
    assert faults(spec, "/chains/joke/batch", {"inputs": [{"topic": 1, "count": 1}]}) == ["$.inputs[0].topic"]
    assert faults(spec, "/chains/joke/invoke", {"output": ["a"]}, output=True) == []
    assert faults(spec, "/chains/joke/invoke", {"output": "a"}, output=True) == ["$.output"]


def test_references_inside_a_chains_schema_lead_to_that_schema(as_alice, demo):
    add_prompt("joke")
    for slug, kind in (("number", "integer"), ("text", "string")):
        own = {**NESTED, "$defs": {"Answer": {"type": kind}}}
        add_chain(slug, step(parser={"kind": "schema", "json_schema": own}))

    spec = document(as_alice)

    validate_schema(spec)
    for slug, good, bad in (("number", 1, "x"), ("text", "x", 1)):
        path = f"/chains/{slug}/invoke"
        deep = {"output": {"answer": good, "next": {"answer": bad}}}
        assert faults(spec, path, {"output": {"answer": good}}, output=True) == []
        assert faults(spec, path, {"output": {"answer": bad}}, output=True) == ["$.output.answer"]
        assert faults(spec, path, deep, output=True) == ["$.output.next.answer"]


def test_a_schema_may_refer_to_itself(as_alice, demo):
    tree = {"type": "object", "properties": {"$ref": {"type": "integer"}, "inner": {"$ref": "#"}}}
    add_prompt("joke")
    for own in (tree, tree | {"$id": "https://example.com/tree"}):
        add_chain("joke", step(parser={"kind": "schema", "json_schema": own}))

        spec = document(as_alice)

        bad = {"output": {"inner": {"$ref": "x"}}}
        assert faults(spec, "/chains/joke/invoke", bad, output=True) == ["$.output.inner['$ref']"]


def test_each_way_to_authenticate_that_is_asked_for_is_defined(as_alice, joke):
    spec = document(as_alice)

    defined = set(spec["components"]["securitySchemes"])
    for path, operations in spec["paths"].items():
        for operation in operations.values():
            asked = [name for choice in operation.get("security", []) for name in choice]
            assert asked, path
            assert set(asked) <= defined, path
    assert {"bearer", "apiKey", "session"} <= defined


def test_every_operation_has_its_own_id(as_alice, joke):
    add_chain("poem", *joke.latest().spec["steps"])

    paths = document(as_alice)["paths"]

    ids = [operation["operationId"] for operations in paths.values() for operation in operations.values()]
    assert len(ids) == len(set(ids))


def test_the_resources_are_in_it(as_alice, joke):
    paths = document(as_alice)["paths"]

    assert {"/api/v1/chains/", "/api/v1/chains/{slug}/", "/api/v1/runs/", "/api/v1/runs/{run_id}/"} <= set(
        paths
    )


def test_a_stranger_sees_the_resources_and_no_chain(joke):
    text = Client().get("/openapi.json").text

    assert "/api/v1/runs/" in text
    assert "joke" not in text


def test_one_sees_only_the_chains_one_may_run(as_alice, joke):
    for slug in ("private", "off", "unpublished"):
        add_chain(slug, *joke.latest().spec["steps"])
    Chain.objects.filter(slug="private").update(access=Chain.Access.GROUPS)
    Chain.objects.filter(slug="off").update(enabled=False)
    Chain.objects.get(slug="unpublished").labels.all().delete()

    paths = document(as_alice)["paths"]

    assert {path.split("/")[2] for path in paths if path.startswith("/chains/")} == {"joke"}


def test_a_chain_that_cannot_run_does_not_spoil_the_document(as_alice, joke, demo):
    demo.enabled = False
    demo.save()

    validate_schema(document(as_alice))


def test_a_bad_key_is_refused_even_here(db):
    response = Client().get("/openapi.json", headers={"Authorization": "Bearer garbage"})

    assert response.status_code == 401


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html", "application/yaml", "garbage"])
def test_the_accept_header_is_not_looked_at(joke, accept):
    assert document(Client(), Accept=accept)["openapi"]
    assert Client().get("/docs/", headers={"Accept": accept}).status_code == 200


def test_many_documents_made_at_once_are_each_the_right_one(transactional_db, joke, alice_key, bob_key):
    Chain.objects.filter(slug="joke").update(access=Chain.Access.GROUPS)
    everyones = add_chain("poem", *joke.latest().spec["steps"])
    assert everyones.enabled
    expected = {}
    headers = {"alice": {"X-API-Key": alice_key}, "bob": {"X-API-Key": bob_key}, "nobody": {}}
    for who in headers:
        expected[who] = json.dumps(document(Client(), **headers[who]))

    def made(who: str) -> tuple[str, str]:
        try:
            return who, json.dumps(document(Client(), **headers[who]))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(made, [*headers] * 7))

    assert all(text == expected[who] for who, text in results)
    assert "poem" in expected["bob"]
    assert "poem" not in expected["nobody"]


# --- The page ----------------------------------------------------------------------------------


def test_the_page_has_no_inline_script_and_needs_no_other_host(db):
    response = Client().get("/docs/")

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    for tag in response.text.split("<script")[1:]:
        assert "src=" in tag.split(">")[0]
        assert tag.split(">")[1].startswith("</script")
    assert " on" not in "".join(part.split(">")[0] for part in response.text.split("<")[1:])
    assert "://" not in response.text
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]


def test_the_pages_script_is_a_script(db):
    page = Client().get("/docs/").text
    address = page.rsplit('<script src="', 1)[1].split('"')[0].replace("&amp;", "&")

    response = Client().get(address)

    assert response.status_code == 200
    assert "javascript" in response.headers["Content-Type"]
    assert "/openapi.json" in response.text
