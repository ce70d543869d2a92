"""Steps of the kind ``text`` over a WebSocket."""

from chains.models import Run
from tests.conftest import add_chain, add_prompt, step
from tests.ws.conftest import kinds

LETTER = {"kind": "text", "name": "letter", "template": "Dear {topic}: {answer}"}


def told(status, name="letter", provider="", model=""):
    return {"type": "step", "name": name, "status": status, "provider": provider, "model": model}


def test_a_text_is_told_as_a_step_without_a_provider(open_socket, demo):
    add_prompt("joke")
    add_chain("joke", step(), LETTER)

    messages = open_socket().run("cats")

    assert kinds(messages) == ["started", "step", "step", "step", "chunk", "step", "finished"]
    demo_steps = [told(status, "answer", "demo", "demo-echo") for status in ("started", "finished")]
    assert [m for m in messages if m["type"] == "step"] == [*demo_steps, told("started"), told("finished")]
    assert messages[-1]["output"] == messages[4]["value"] == "Dear cats: cats"


def test_a_chain_of_texts_needs_no_provider(open_socket):
    add_chain("joke", {**LETTER, "template": "Dear {topic}"})

    messages = open_socket().run("cats")

    assert kinds(messages) == ["started", "step", "chunk", "step", "finished"]
    assert (messages[-1]["output"], messages[-1]["finish_reason"]) == ("Dear cats", "")
    assert messages[-1]["cost_usd"] is None
    assert Run.objects.get().calls == []
