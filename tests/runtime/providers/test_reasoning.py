"""Models that think before they answer, and answers that have no text."""

import pytest

from chains.runtime import errors
from tests.runtime.helpers import BOTH, Ran, plan, run, step, target
from tests.runtime.providers.helpers import one
from tests.upstream import body, raw
from tests.upstream.completions import STOP, chunk, completion, events, texts

FIELDS = {
    "reasoning_content": lambda text: {"content": None, "reasoning_content": text},
    "reasoning": lambda text: {"content": None, "reasoning": text},
    "both": lambda text: {"reasoning": text, "reasoning_details": [{"type": "x", "text": text}]},
    "details": lambda text: {"reasoning_details": [{"type": "x", "text": text}]},
    "thinking": lambda text: {"content": "", "thinking": text},
    "blocks": lambda text: {"content": [{"type": "thinking", "thinking": text}]},
    "blocks beside": lambda text: {"thinking_blocks": [{"type": "thinking", "thinking": text}]},
    "Copilot": lambda text: {"reasoning_text": text},
    "an object": lambda text: {"reasoning": {"content": text}},
}


@pytest.mark.parametrize("field", FIELDS)
@BOTH
async def test_reasoning_is_kept_apart_from_the_answer(upstream, field, streaming):
    delta = FIELDS[field]
    if streaming:
        upstream.script(raw(events(chunk(delta("Let me")), chunk(delta(" see")), *texts("Hello"), STOP)))
    else:
        message = {"role": "assistant", **delta("Let me see")}
        content = (
            [*message.get("content"), {"type": "text", "text": "Hello"}] if field == "blocks" else "Hello"
        )
        upstream.script(body(completion(message={**message, "content": content})))

    ran = await run(one(upstream, parser="message"), streaming=streaming)

    assert (ran.output.content, ran.output.additional_kwargs["reasoning_content"]) == ("Hello", "Let me see")
    assert ran.calls[0].reasoning == "Let me see"


BLOCKS = {
    "whole": ["<think>Let me see</think>\n\nHello"],
    "in pieces": ["<th", "ink>Let me", " see</thi", "nk>", "\n", "\nHel", "lo"],
    "after space": ["\n <think>", "Let me see", "</think>Hello"],
    "another name": ["<thought>Let me", " see</thought>Hello"],
    "a third name": ["<thinking>Let me see</thinking>", "Hello"],
    "two blocks": ["<think>Let me</think>\n", "<think> see</think>\nHello"],
    "after a BOM": ["\ufeff<think>Let me see</think>Hello"],
    "by letters": list("<think>Let me see</think>Hello"),
}


@pytest.mark.parametrize("pieces", BLOCKS.values(), ids=BLOCKS)
@BOTH
async def test_a_think_block_is_split_off(upstream, pieces, streaming):
    answer = raw(events(*texts(*pieces), STOP)) if streaming else body(completion("".join(pieces)))
    upstream.script(answer)

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.output, ran.calls[0].reasoning) == ("Hello", "Let me see")
    assert "".join(ran.chunks) == ("Hello" if streaming else "")


async def test_the_end_of_a_block_that_the_server_took_out_is_taken_out_too(upstream):
    upstream.script(raw(events(chunk({"reasoning_content": "hm"}), *texts("</think>\n\nHello"), STOP)))

    assert (await run(one(upstream))).output == "Hello"


async def test_a_provider_may_keep_think_blocks_in_the_answer(upstream):
    upstream.script(raw(events(*texts("<think>a</think>b"), STOP)))

    assert (await run(one(upstream, splits_thinking=False))).output == "<think>a</think>b"


@pytest.mark.parametrize("text", ["<thin", "<b>x</b>", "a <think>b</think>", " \n", "<"])
async def test_other_text_is_left_alone(upstream, text):
    upstream.script(raw(events(*texts(*text), STOP)))

    assert (await run(one(upstream))).output == text


@pytest.mark.alone
@pytest.mark.parametrize(
    "sign",
    [
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "<think>"}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "x"}}]}),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "AAAA"}]}),
        chunk({"content": ""}),
    ],
)
async def test_any_piece_is_a_sign_of_life(upstream, sign):
    pieces = [part for _ in range(5) for part in (events(sign, done=False), 0.15)]
    last = "</think>Hello" if sign == chunk({"content": "<think>"}) else "Hello"
    upstream.script(raw(*pieces, events(*texts(last), STOP)))

    assert (await run(one(upstream, first_token_s=0.5, chunk_s=0.5))).output == "Hello"


async def test_a_model_that_begins_to_think_and_stands_still_is_too_slow(upstream):
    upstream.script(raw(events(chunk({"reasoning_content": "hm"}), done=False), ending="held"))

    with pytest.raises(errors.ProviderTimeout):
        await run(one(upstream, chunk_s=0.2))


# --- Answers without a text --------------------------------------------------------------------

CALL = {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
EMPTY = {
    "nothing": ({"content": ""}, "stop", "has no text."),
    "content filter": ({"content": None}, "content_filter", "content filter"),
    "only reasoning": ({"content": None, "reasoning_content": "hm"}, "stop", "only thought"),
    "thought to the limit": ({"content": None, "reasoning_content": "hm"}, "length", "still thinking"),
    "limit": ({"content": ""}, "length", "limit of its tokens"),
    "an unclosed think block": ({"content": "<think>hm"}, "length", "still thinking"),
    "only a tool call": ({"content": None, "tool_calls": [CALL]}, "tool_calls", "asked for a tool"),
}


@pytest.mark.parametrize("case", EMPTY)
@pytest.mark.parametrize("parser", ["text", "json", "list"])
@BOTH
async def test_an_answer_without_a_text_is_an_error_that_names_the_reason(upstream, case, parser, streaming):
    message, reason, words = EMPTY[case]
    upstream.script(body(completion(None, reason, message={"role": "assistant", **message})))
    ran = Ran()

    with pytest.raises(errors.AnswerEmpty, match=words):
        await run(one(upstream, parser=parser), streaming=streaming, into=ran)

    assert len(upstream.requests) == 1
    assert (ran.calls[0].was_answered, ran.calls[0].usage is not None) == (True, True)


@BOTH
async def test_a_refusal_is_the_answer(upstream, streaming):
    refusal = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    upstream.script(body(completion(message=refusal)))

    assert (await run(one(upstream), streaming=streaming)).output == "I cannot help with that."


@BOTH
async def test_a_message_may_be_a_call_of_a_tool_only(upstream, streaming):
    upstream.script(
        body(
            completion(
                None, "tool_calls", message={"role": "assistant", "content": None, "tool_calls": [CALL]}
            )
        )
    )

    ran = await run(one(upstream, parser="message"), streaming=streaming)

    assert [(call["name"], call["args"], call["id"]) for call in ran.output.tool_calls] == [("f", {}, "1")]


TOOLS = {
    "indexes": [{"index": 0, "id": "1"}, {"index": 0}, {"index": 1, "id": "2"}, {"index": 1}],
    "no indexes": [{"id": "1"}, {}, {"id": "2"}, {}],
    "all the same index": [
        {"index": 0, "id": "1"},
        {"index": 0},
        {"index": 0, "id": "2"},
        {"index": 0, "id": "2"},
    ],
    "the id each time": [{"index": 0, "id": "1"}, {"id": "1"}, {"index": 1, "id": "2"}, {"id": "2"}],
}


@pytest.mark.parametrize("numbered", TOOLS.values(), ids=TOOLS)
async def test_pieces_of_tool_calls_find_each_other(upstream, numbered):
    said = [("f", '{"a"'), (None, ": 1}"), ("g", '{"b"'), (None, ": 2}")]
    pieces = [
        chunk({"tool_calls": [{**number, "function": {"name": name, "arguments": arguments}}]})
        for number, (name, arguments) in zip(numbered, said, strict=True)
    ]
    upstream.script(raw(events(*pieces, chunk({}, "tool_calls"))))

    ran = await run(one(upstream, parser="message"))

    calls = [(call["name"], call["args"], call["id"]) for call in ran.output.tool_calls]
    assert calls == [("f", {"a": 1}, "1"), ("g", {"b": 2}, "2")]


@pytest.mark.parametrize(("content", "reason"), [("Half an", "length"), ("Half an", "content_filter")])
@BOTH
async def test_a_part_of_a_text_is_an_answer_that_says_why_it_ends(upstream, content, reason, streaming):
    upstream.script(body(completion(content, reason)))

    ran = await run(one(upstream), streaming=streaming)

    assert (ran.output, ran.finish_reason) == (content, reason)


@BOTH
async def test_json_that_the_limit_of_tokens_cut_says_so(upstream, streaming):
    upstream.script(body(completion('{"a": "cut he', "length")))

    with pytest.raises(errors.OutputInvalid, match="cut off at the limit of its tokens"):
        await run(plan(step(target(upstream), parser="json")), streaming=streaming)
