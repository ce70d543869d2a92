"""The page on which one talks to a chain."""

import pytest

from tests.playground.conftest import publish_chain


@pytest.fixture
def talk(db):
    return publish_chain("talk", messages=[{"placeholder": "chat"}])


def test_the_playground_and_the_chat_lead_to_one_another(signed_in, talk):
    playground = signed_in.get("/chains/talk/playground/").content.decode()
    chat = signed_in.get("/chains/talk/playground/chat/").content.decode()
    assert 'href="/chains/talk/playground/chat/"' in playground
    assert 'href="/chains/talk/playground/"' in chat


def test_other_chains_have_no_chat(signed_in, fitness):
    assert "playground/chat/" not in signed_in.get("/chains/fitness/playground/").content.decode()
    assert signed_in.get("/chains/fitness/playground/chat/").status_code == 404
    assert signed_in.get("/chains/none/playground/chat/").status_code == 404


def test_a_chain_without_playground_has_no_chat_either(signed_in, talk):
    talk.disabled_endpoints = ["playground"]
    talk.save()
    assert signed_in.get("/chains/talk/playground/chat/").status_code == 404


def test_signed_out_the_chat_leads_to_sign_in(client, talk):
    assert client.get("/chains/talk/playground/chat/").status_code == 302
