"""Tool calls, as servers tell them: with indexes and ids, without, or with wrong ones."""

import json

import pytest

from tests.runtime.helpers import run
from tests.runtime.providers.helpers import one
from tests.upstream import body, raw
from tests.upstream.completions import chunk, completion, events

F, G = ("f", {"a": "1 \U0001f600"}), ("g", {"b": 2})


def part(name=None, args=None, **call) -> dict:
    function = {key: value for key, value in {"name": name, "arguments": args}.items() if value is not None}
    return chunk({"tool_calls": [{**call, "function": function}]})


def halves(args: dict) -> tuple[str, str]:
    """The arguments, cut inside an emoji if there is one."""
    text = json.dumps(args)
    units = json.loads(f'"{json.dumps(text)[1:-1]}"')
    at = units.index("\\ude00") if "\\ude00" in units else len(units) // 2
    return units[:at], units[at:]


def raw_halves(args: dict) -> list[str]:
    """The same, with the emoji itself cut into its two halves."""
    text = json.dumps(args, ensure_ascii=False).encode("utf-16-le")
    at = text.index("\U0001f600".encode("utf-16-le")) + 2
    return [text[:at].decode("utf-16-le", "surrogatepass"), text[at:].decode("utf-16-le", "surrogatepass")]


def calls(form: str) -> list[dict]:
    parts = []
    for index, (name, args) in enumerate((F, G)):
        first, second = halves(args)
        same = {"index": 0, "id": f"c{index}"}
        parts += {
            "as documented": [
                part(name, "", index=index, id=f"c{index}"),
                part(None, first, index=index),
                part(None, second, index=index),
            ],
            "without indexes": [part(name, first, id=f"c{index}"), part(None, second)],
            "without indexes and ids": [part(name, first), part(None, second)],
            "all with index 0": [part(name, first, **same), part(None, second, index=0)],
            "the id with each piece": [part(name, first, **same), part(None, second, **same)],
            "a new id with each piece": [
                part(name, first, index=index, id=f"a{index}"),
                part(None, second, index=index, id=f"b{index}"),
            ],
            "the name with each piece": [
                part(name, first, index=index),
                part(name, second, index=index),
            ],
            "an index that is a word": [
                part(name, first, index=f"i{index}", id=f"c{index}"),
                part(None, second, index=f"i{index}"),
            ],
            "arguments that are an object": [part(name, args, index=index, id=f"c{index}")],
        }[form]
    return parts


FORMS = [
    "as documented",
    "without indexes",
    "without indexes and ids",
    "all with index 0",
    "the id with each piece",
    "a new id with each piece",
    "the name with each piece",
    "an index that is a word",
    "arguments that are an object",
]


@pytest.mark.parametrize("form", FORMS)
async def test_tool_calls_are_put_together(upstream, form):
    upstream.script(raw(events(*calls(form), chunk({}, "tool_calls"))))

    ran = await run(one(upstream, parser="message"))

    assert [(call["name"], call["args"]) for call in ran.output.tool_calls] == [F, G]


async def test_an_emoji_in_two_halves_is_whole_in_the_arguments_too(upstream):
    parts = [part("f", half, index=0, id="c") for half in raw_halves(F[1])]
    upstream.script(raw(events(*parts, chunk({}, "tool_calls"))))

    ran = await run(one(upstream, parser="message"))

    assert ran.output.tool_calls[0]["args"] == F[1]


async def test_the_calls_of_a_message_that_comes_again_are_the_same_calls(upstream):
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    upstream.script(raw(events(part("f", "{}", index=0, id="c"), completion(message=message))))

    ran = await run(one(upstream, parser="message"))

    assert [call["name"] for call in ran.output.tool_calls] == ["f"]


async def test_no_more_calls_are_kept_than_any_answer_has(upstream):
    many = [{"id": f"c{n}", "function": {"name": "f", "arguments": "{}"}} for n in range(100_000)]
    upstream.script(body(completion(message={"content": "Hi", "tool_calls": many})))

    ran = await run(one(upstream, parser="message"), streaming=False)

    assert len(ran.output.tool_calls) == 128
