"""The main job from beginning to end: written in the admin, called with a key, changed without a deploy."""

import json

import pytest

from chains.models import Chain, Prompt, Run
from tests.admin.conftest import Browser, url_of

pytestmark = pytest.mark.usefixtures("shared_db")


@pytest.fixture
def editor(client, staff):
    client.force_login(staff)
    return Browser(client)


def invoke(client, key: str) -> tuple[str, Run]:
    response = client.post(
        "/chains/comedian/invoke",
        json.dumps({"input": {"topic": "cats"}}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert response.status_code == 200, response.content
    return response.json()["output"], Run.objects.get(pk=response.headers["X-ChainHub-Run-ID"])


def test_an_edit_that_is_published_answers_the_next_call(editor, async_client, client, alice_key):
    message = {"messages-0-role": "human", "messages-0-content": "Tell a joke about {topic}."}
    editor.submit("/admin/chains/prompt/add/", button="_publish", slug="joke", **message)
    step = {"name": "answer", "prompt": "joke", "provider": "demo", "model": "demo-echo"}
    step |= {"extra": "delay_ms = 0"}
    steps = {f"steps-0-{name}": value for name, value in step.items()}
    editor.submit("/admin/chains/chain/add/", button="_publish", slug="comedian", **steps)

    output, run = invoke(client, alice_key)
    assert output == "Tell a joke about cats."
    assert (run.chain_version_number, run.prompt_versions) == (1, {"joke": 1})

    joke = url_of(Prompt.objects.get(slug="joke"))
    changed = {"messages-0-content": "Tell a long joke about {topic}."}
    editor.submit(joke, button="_continue", **changed)
    draft_output, draft_run = invoke(client, alice_key)
    assert (draft_output, draft_run.prompt_versions) == (output, {"joke": 1})

    editor.submit(joke, button="_publish")
    steps["steps-0-name"] = "punchline"
    editor.submit(url_of(Chain.objects.get(slug="comedian")), button="_publish", **steps)
    output, run = invoke(client, alice_key)
    assert output == "Tell a long joke about cats."
    assert (run.chain_version_number, run.prompt_versions) == (2, {"joke": 2})
