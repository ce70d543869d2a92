"""Kinds of provider that a package brings: chosen in the admin, called through the API."""

import json
import sys

import pytest

from chains.actions.codechains import discover
from chains.models import Provider
from tests.admin.conftest import Browser, errors_in
from tests.conftest import add_chain, add_prompt, start_server, stop_server
from tests.conftest import step as demo_step

INSTALL = "pip install no-such-package"
ADD = "/admin/chains/provider/add/"
MISSING = f"Absent: the Python package 'no_such_package' is not installed. Install it with: {INSTALL}"

pytestmark = pytest.mark.usefixtures("shared_db", "parrots")


@pytest.fixture
def parrots(kinds, registry, settings):
    """What a server registers at its start."""
    settings.RUNNABLES = ["tests.parrots"]
    sys.modules.pop("tests.parrots", None)
    discover()


@pytest.fixture
def superuser(client, root):
    client.force_login(root)
    return Browser(client)


def invoke(client, key: str):
    return client.post(
        "/chains/joke/invoke",
        json.dumps({"input": {"topic": "cats"}}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )


def chain_by(provider: str, **extra: str) -> None:
    add_prompt("joke")
    step = demo_step(provider=provider, model="polly", params={"extra": extra})
    add_chain("joke", step)


def test_a_provider_of_a_registered_kind_answers(superuser, client, alice_key):
    superuser.submit(ADD, slug="pet", kind="parrot")
    chain_by("pet", says="Hello!")

    response = invoke(client, alice_key)

    assert (response.status_code, response.json()["output"]) == (200, "polly: Hello!")


def test_a_kind_whose_package_is_missing_is_listed_with_the_command_that_installs_it(superuser):
    page = superuser.client.get(ADD).content.decode()

    assert '<option value="absent">Absent</option>' in page
    assert INSTALL in page


def test_it_cannot_be_chosen(superuser):
    response = superuser.submit(ADD, slug="pet", kind="absent")

    assert errors_in(response) == {"kind": [MISSING]}
    assert not Provider.objects.exists()


def test_it_can_be_kept_switched_off(superuser):
    Provider.objects.create(slug="pet", kind="absent", enabled=False)

    superuser.submit(f"{ADD[:-4]}{Provider.objects.get().pk}/change/", slug="renamed")

    assert Provider.objects.get().slug == "renamed"


def test_a_chain_with_it_says_what_is_missing(client, alice_key):
    Provider.objects.create(slug="pet", kind="absent")
    chain_by("pet")

    response = invoke(client, alice_key)

    assert (response.status_code, response.json()["code"]) == (503, "invalid_spec")
    assert MISSING in response.json()["detail"]


def test_an_endpoint_that_has_to_be_there_is_asked_for(superuser):
    response = superuser.submit(ADD, slug="mine", kind="azure")

    assert errors_in(response) == {"base_url": ["Azure OpenAI needs an endpoint."]}


def test_a_server_starts_with_a_provider_that_cannot_be_used(transactional_db, tmp_path):
    Provider.objects.create(slug="pet", kind="absent")
    log = tmp_path / "log"

    server = start_server(log, CHAINHUB_RUNNABLES="tests.parrots")

    assert stop_server(server) == 0
    assert f"The providers of the kind 'absent' cannot be used: {MISSING}" in log.read_text()
