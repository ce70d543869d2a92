"""The test of a provider on its page, and the names of models for the chains' form."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from chains.models import LearnedHabit, Run
from tests.admin.conftest import url_of
from tests.upstream import answers, fails

MODELS = "/admin/chains/provider/models/"


@pytest.fixture
def listed(upstream):
    upstream.models = ["test-model", "other"]
    return upstream


def test_the_page_of_a_provider_starts_its_test(superuser, openai, listed):
    listed.script(answers("Hello."), answers("Hello."), answers('{"word": "hello"}'))
    page = superuser.client.get(url_of(openai))
    assert f'action="{url_of(openai, "test")}"' in page.content.decode()
    form = superuser.read(page, "model")

    page = superuser.submit(url_of(openai, "test"), form=form, model="test-model").content.decode()

    assert page.count("badge-succeeded") == 7
    assert "2 found: test-model, other." in page
    assert '<option value="other">' in page
    assert not Run.objects.exists()


def test_the_result_tells_what_failed_and_what_was_learned(superuser, openai, listed):
    listed.script(
        fails(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        fails(401, "Wrong key {key}, <b>not</b> known", "invalid_api_key"),
    )
    listed.models = []

    page = superuser.client.post(url_of(openai, "test"), {"model": "test-model"}).content.decode()

    assert "status 401, code invalid_api_key: Wrong key …, &lt;b&gt;not&lt;/b&gt; known" in page
    assert "CANARY" not in page
    assert page.count("Not tried, because of the failure above.") == 2
    # No answer has shown that it is right.
    assert not LearnedHabit.objects.exists()

    listed.script(fails(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."))
    page = superuser.client.post(url_of(openai, "test"), {"model": "test-model"}).content.decode()
    assert "<strong>Token limit:</strong> max_completion_tokens" in page
    assert LearnedHabit.objects.get().value == "max_completion_tokens"


def test_a_test_asks_for_a_model(superuser, openai, listed):
    page = superuser.client.post(url_of(openai, "test"), {"model": " "}).content.decode()

    assert "This field is required." in page
    assert listed.requests == []


def test_only_a_form_of_this_site_starts_a_test(root, openai, listed):
    client = Client(enforce_csrf_checks=True)
    client.force_login(root)

    assert client.post(url_of(openai, "test"), {"model": "test-model"}).status_code == 403
    assert client.get(url_of(openai, "test")).status_code == 200
    assert listed.requests == []


def test_there_is_no_test_of_what_does_not_exist(superuser, db):
    for page in ("test", "forget"):
        assert superuser.client.post(f"/admin/chains/provider/99/{page}/", {"model": "m"}).status_code == 404


# --- Suggestions -------------------------------------------------------------------------------


def test_the_models_of_a_provider_are_told_to_who_may_write_chains_or_view_it(client, staff, openai, listed):
    client.force_login(staff)
    assert client.get(MODELS, {"provider": "openai"}).json() == {"models": ["test-model", "other"]}
    assert client.get(MODELS, {"provider": "demo"}).json() == {"models": ["demo-coach", "demo-echo"]}

    staff.groups.clear()
    staff.user_permissions.set([])
    client.force_login(staff)
    assert client.get(MODELS, {"provider": "openai"}).status_code == 403

    staff.user_permissions.add(Permission.objects.get(codename="view_provider"))
    client.force_login(staff)
    assert client.get(MODELS, {"provider": "openai"}).status_code == 200


@pytest.mark.parametrize("slug", ["", "nope", "\0", "x" * 5000])
def test_models_of_no_provider_are_not_found(superuser, db, slug):
    assert superuser.client.get(MODELS, {"provider": slug}).status_code == 404


def test_strangers_get_no_models(client, openai, listed):
    assert client.get(MODELS, {"provider": "openai"}).status_code == 302
    assert listed.requests == []


def test_the_form_of_a_chain_names_the_address_of_the_models(editor, comedian):
    page = editor.client.get(url_of(comedian)).content.decode()

    assert f'data-models-url="{MODELS}"' in page
    assert '<option value="demo-coach">' in page
