"""Versions that never change, and labels that move."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from chains.models import ChainLabel, LabelMove, Prompt, PromptVersion, Provider
from chains.runtime.errors import ChainNotFound
from tests.conftest import add_chain, add_prompt, step


def test_versions_are_numbered_from_one(alice):
    prompt = add_prompt("joke")
    add_prompt("joke", "About {topic}")

    assert [version.number for version in prompt.versions.order_by("number")] == [1, 2]
    assert (prompt.at("latest").number, prompt.at("production").number, prompt.at("1").number) == (2, 2, 1)


def test_the_same_content_is_the_same_version(db):
    prompt = add_prompt("joke")
    add_prompt("joke")

    assert prompt.versions.count() == 1


def test_content_that_comes_back_is_a_new_version(db):
    for content in ("{a}", "{b}", "{a}"):
        prompt = add_prompt("joke", content)

    assert [v.number for v in prompt.versions.order_by("number")] == [1, 2, 3]
    assert prompt.at("1").digest == prompt.at("3").digest


def test_a_version_never_changes(db, demo):
    prompt = add_prompt("joke")
    chain = add_chain("joke", step())

    for version in (prompt.latest(), chain.latest()):
        version.note = "changed"
        with pytest.raises(ValidationError, match="never changes"):
            version.save()


def test_every_stored_prompt_is_a_plain_template(db):
    add_prompt("joke", "{{literal}} {topic}")

    assert [version.spec.used_variables for version in PromptVersion.objects.all()] == [("topic",)]


@pytest.mark.parametrize("ref", ["3", "0", "staging", "", "²", "9" * 20])
def test_a_ref_that_names_nothing_is_not_found(db, ref):
    with pytest.raises(ChainNotFound):
        add_prompt("joke").at(ref)


def test_a_label_belongs_to_its_own_prompt_only(db):
    one, other = add_prompt("one"), Prompt.objects.create(slug="other")

    assert one.at("production").number == 1
    with pytest.raises(ChainNotFound):
        other.at("production")


def test_a_move_of_a_label_is_recorded(alice):
    prompt = add_prompt("joke")
    add_prompt("joke", "{b}")
    prompt.point("production", prompt.at("1"), by=alice)

    moves = LabelMove.objects.of(prompt).order_by("pk").values_list("from_number", "to_number", "by")
    assert list(moves) == [(None, 1, None), (1, 2, None), (2, 1, alice.pk)]


@pytest.mark.parametrize("name", ["latest", "7", "UPPER", "a b", ""])
def test_a_label_is_not_called_what_means_something_else(db, demo, name):
    add_prompt("joke")
    chain = add_chain("joke", step())

    with pytest.raises(ValidationError):
        ChainLabel(parent=chain, version=chain.latest(), name=name).full_clean()


# --- Providers ---------------------------------------------------------------------------------


def test_a_providers_key_is_stored_encrypted(openai):
    with connection.cursor() as cursor:
        cursor.execute("select * from chains_provider")
        stored = str(cursor.fetchall())

    assert "CANARY" not in stored
    assert Provider.objects.get(slug="openai").api_key == "sk-test-CANARY-0123456789"


def test_a_providers_key_is_not_shown(openai):
    assert openai.key_hint == "set, ends …6789"
    assert "CANARY" not in f"{openai} {openai!r} {openai.to_config()!r}"


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pw@example.com/v1",
        "http://@example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "example.com",
        "http://",
        "http://[",
        "http://example.com:port",
        "http://example.com/v1?key=sk",
        "http://example.com/#x",
    ],
)
def test_an_endpoint_that_is_no_plain_url_is_refused(db, url):
    with pytest.raises(ValidationError) as caught:
        Provider(slug="x", kind="openai", base_url=url).full_clean()

    assert "base_url" in caught.value.message_dict


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://a.example/v2", True),
        ("https://a.example:444/v1", False),
        ("http://a.example/v1", False),
        ("https://b.example/v1", False),
        ("", False),
    ],
)
def test_a_key_stays_with_its_host(url, same):
    assert Provider(base_url="https://a.example/v1").has_same_host(url) is same
