"""JSON in answers as models write them."""

import json
import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from langchain_core.exceptions import OutputParserException

from chains.runtime.steps.jsonanswer import MAX_BRACKETS, MAX_DEPTH, MAX_MARKS, parse_json
from chains.runtime.wire.values import encode

A = {"a": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        (" 3 ", 3),
        ("null", None),
        ('"text"', "text"),
        ('"{x} and [y"', "{x} and [y"),
        ("[]", []),
        ("1e99", 1e99),
        ("```json\n3\n```", 3),
        ("```json null```", None),
        ("null</s>", None),
        ('```json\n{"a": 1}\n```', A),
        ('```JSON \r\n{"a": 1}```', A),
        ('\n```\n{"a": "```"}\n```\n', {"a": "```"}),
    ],
)
def test_json_is_read_bare_or_in_a_fence(text, value):
    assert parse_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '```jsonc\n{"a": 1}\n```',
        '```python\n{"a": 1}\n```',
        '```json\r\n{"a": 1}\r\n```\r\n',
        '```json{"a": 1}```',
        'Here: ```json {"a": 1}``` and more',
        'Here is the JSON:\n```json\n{"a": 1}\n```\nLet me know!',
        '````json\n{"a": 1}\n````',
        '```json\n{"a": 1}\n```\n```',
        '{"a": 1}\n```',
        'Replace {} here: {"a": 1}, [] there',
        '{"a": 1}\nIn short:\n{"a": 1}',
        '1. First:\n   ```json\n   {\n     "a": 1\n   }\n   ```',
    ],
)
def test_words_may_stand_around_a_fence_and_its_ends_may_be_anywhere(text):
    assert parse_json(text) == A


@pytest.mark.parametrize(
    "text", ['```json\n{"a": 1}', '```json\n{"a": 1}\n', '```{"a": 1}', '```json{"a": 1}</s>']
)
def test_a_fence_may_have_no_end(text):
    assert parse_json(text) == A


@pytest.mark.parametrize(
    "text",
    [
        'Sure! {"a": 1}',
        '{"a": 1} is what you asked for.',
        'As [1] says of {x} and {{y}}, f(x) = {1, 2}: {"a": 1}. - [x] done',
        'Of the form {"a": <number>}: {"a": 1}',
        'The answer is `{"a": 1}`.',
        '<tool_call>\n{"a": 1}\n</tool_call>',
        '<|im_start|>assistant\n{"a": 1}',
        '[INST] {"a": 1} [/INST]',
        'From ["x", "y"] follows {"a": 1}, and nothing else: [].',
    ],
)
def test_an_object_is_found_among_words(text):
    assert parse_json(text) == A


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('The colours [1]: ["red", "green"].', ["red", "green"]),
        ("None fits: []", []),
        ("Here:\n```json\n[1]\n```", [1]),
        ("[1]", [1]),
    ],
)
def test_a_list_is_found_among_words_but_a_citation_is_none(text, value):
    assert parse_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        'With {"a": 0} as the example:\n```json\n{"a": 1}\n```\nThis is not {"a": 2}.',
        'For x in [0, 1):\n```json\n{"a": 1}\n```',
        '```json\n{"a": 1}\n```\nThis holds for x in [0, 1) and (0, 1].',
        '```python\nprint([0])\n```\nprints:\n```json\n{"a": 1}\n```',
        'Fences are ``` in Markdown.\n```json\n{"a": 1}\n```\n[1]: note',
        'Fences are ``` in Markdown, as for {"a": 0}.\n```json\n{"a": 1}\n```',
        'With {"a": 0} as the example:\n```json\n{"a": 1}\n',
    ],
)
def test_a_fence_counts_more_than_what_is_outside(text):
    assert parse_json(text) == A


@pytest.mark.parametrize(
    "text",
    [
        '<think>\nLet me see {x}\n</think>\n\n{"a": 1}',
        '<think>\n\n</think>\n\n{"a": 1}',
        '<think>not {"a": 2}, nor {"b": "</think>```json\n{"a": 1}\n```',
        '<thinking>{"a": 2}</thinking>{"a": 1}',
        '<Reasoning>hm</Reasoning>\n<answer>{"a": 1}</answer>',
        '[THINK]hm [[/THINK]{"a": 1}',
        'Let me see {x}, {"a": 2} and {\n</think>\n\n{"a": 1}',
        '```json\n{"a": 2, \n</think>\n{"a": 1}',
        '<|channel|>analysis<|message|>Not {"a": 2}<|end|><|start|>assistant'
        '<|channel|>final <|constrain|>json<|message|>{"a": 1}<|return|>',
    ],
)
def test_reasoning_is_left_out_even_if_its_beginning_is_missing(text):
    assert parse_json(text) == A


@pytest.mark.parametrize("text", ["<think>hm</think>3", "<think>{</think>\ufeff```\n3\n```"])
def test_a_number_may_follow_reasoning(text):
    assert parse_json(text) == 3


@pytest.mark.parametrize(
    "text",
    [
        '<think>I will say {"a": 1}',
        '<think>{"a": 1}</think>',
        '{"a": 1}\n</think>\n',
        "<|channel|>analysis<|message|>{}",
    ],
)
def test_json_in_reasoning_without_an_answer_is_refused(text):
    with pytest.raises(OutputParserException):
        parse_json(text)


@pytest.mark.parametrize("blanks", ["\ufeff", "\u00a0", "\u200b\ufeff \r\n", "\u3000\u2060"])
def test_blanks_and_byte_order_marks_around_are_left_out(blanks):
    assert parse_json(f'{blanks}{{"a": 1}}{blanks}') == A
    assert parse_json(f'```json\n{blanks}{{"a": 1}}{blanks}\n```') == A
    assert parse_json(f"{blanks}3{blanks}") == 3


@pytest.mark.parametrize(
    "token",
    [
        "<|im_end|>",
        "</s>",
        "<|eot_id|>",
        "<|endoftext|>",
        "<end_of_turn>\n",
        "<eos>",
        "<|return|>",
        "<｜end▁of▁sentence｜>",  # noqa: RUF001
        " <|im_end|>\n<|endoftext|>",
    ],
)
@pytest.mark.parametrize("text", ['{"a": 1}', '```json\n{"a": 1}\n```', '```json\n{"a": 1}\n'])
def test_tokens_that_end_an_answer_are_left_out(text, token):
    assert parse_json(text + token) == A


def test_line_ends_and_tabs_may_stand_in_texts_as_they_are():
    assert parse_json('{"a": "x\ny\r\n\tz"}') == {"a": "x\ny\r\n\tz"}


@pytest.mark.parametrize(
    "text", ["use ```x``` here", "a\n```json\n{}\n```\n", "</think> {", "<|im_end|>", '"}', "]}"]
)
def test_marks_in_texts_are_text(text):
    written = json.dumps({"a": 1, "t": text}).replace("\\n", "\n")

    for answer in (written, f"Here: {written}", f"```json\n{written}\n```", f"```json\n{written}"):
        assert parse_json(answer) == {"a": 1, "t": text}


def test_json_may_be_nested_as_deep_as_it_can_be_encoded():
    value = parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)

    assert encode(value) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "```",
        "```json\n```",
        "I cannot help with that.",
        "The answer is 3.",
        "I cannot tell [1].",
        "- [ ] to be done",
        "{'a': 1}",
        '{"a": 1,}',
        "NaN",
        "[Infinity]",
        '{"a": NaN}',
        "1e400",
        '{"a": [-1e400]}',
        "[" + "9" * 400 + ".5]",
        "[" + "9" * 250 + "e99]",
        "9" * 5000,
        "[" + "9" * 5000 + "]",
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        "x " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        '{"a":' * 500 + "1" + "}" * 500,
        "[" * 100_000,
    ],
)
def test_what_is_no_json_is_refused(text):
    with pytest.raises(OutputParserException):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}\n{"a": 2}',
        "[1, 2] or [3, 4]",
        '```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```',
        '```json\n{"a": 1}\n{"a": 2}\n```',
    ],
)
def test_several_values_are_refused(text):
    with pytest.raises(OutputParserException, match="more than one"):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": 1}, "c": "cut he',
        '[{"a": 1}, {"a": 2}, {"a"',
        'Sure! {"a": {"b": 1}, "c": ',
        'Sure! {"a": {"b": 1}, "c": [{"d": 2}<|im_end|>',
        '{"a": 1}\n{"a": 2, "b',
        '```json\n{"a": {"b": 1}, "c": [1, 2\n```\nLet me know if {x} fits!',
        '```json\n{"a": {"b": 1}, "c": "cut he\n```\nSay "hi" {x}',
        '```json\n{"a": 1}\n```\n```json\n{"a": {"b": 1}',
        '<think>hm</think>{"a": {"b": 1}, ',
        "{'a': {\"b\": 1}, 'c': [",
        # At its beginning: the first bracket was a part of the request, or a text of another notation ended.
        '"a": {"b": 1}, "c": 2}',
        "{'a': '}', 'b': {\"c\": 1}}",
    ],
)
def test_no_part_of_json_that_was_cut_is_taken_for_the_answer(text):
    with pytest.raises(OutputParserException, match="cut off"):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, // one\n "b": {"c": 2}}',
        '{a: {"b": 1}}',
        "{'a': {\"b\": 1}}",
        'Of the form {"a": 0}: {"a": 1,}',
        'Of the form {"a": 0}:\n```json\n{"a": 1,}\n```',
    ],
)
def test_neither_a_part_of_broken_json_nor_an_example_before_it_is_taken_for_the_answer(text):
    with pytest.raises(OutputParserException, match="not JSON"):
        parse_json(text)


@pytest.mark.parametrize(
    "text", ["secret", '{"secret": 1', '{"secret": 1,}', '"secret', "[secret] [1] [2]", "<think>secret"]
)
def test_what_is_told_quotes_nothing_of_the_answer(text):
    with pytest.raises(OutputParserException) as refused:
        parse_json(text)

    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "text", ["\ud800", '\ud800 {"a": 1', '{"\ud800": 1,}', "[\ud800]", "```json\n\ud800"]
)
def test_lone_surrogates_are_refused_as_other_text(text):
    with pytest.raises(OutputParserException):
        parse_json(text)


def test_lone_surrogates_among_words_are_ignored():
    assert parse_json('\udfff {"a": 1} \ud800') == A


# --- Any object ---------------------------------------------------------------------------------

WRAPPERS = [
    "{}",
    "\ufeff{}\u00a0\n",
    "Sure! {}",
    "As [1] says: {} Let me know!",
    "```json\n{}\n```",
    "```{}```",
    "```json{}```",
    "Here:\n```json\r\n{}\r\n```\r\nLet me know!",
    "```json\n{}\n",
    "```json\n{}\n```\n```",
    "<think>\nnot {{x}}\n</think>\n\n{}",
    "<think>hm</think>\n```json\n{}\n```",
    "hm {{\n</think>\n{}",
    "{}<|im_end|>",
    "```json\n{}\n```</s>",
    "<|channel|>final<|message|>{}<|return|>",
]
TEXTS = [
    "",
    "a",
    "```",
    "\n```json\n",
    "</think>",
    "<think>",
    "{",
    "}]",
    '"',
    "\\",
    '\\"',
    "'",
    "<|im_end|>",
    "é",
    "😀",
]


def any_value(dice: random.Random, levels: int) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: "".join(dice.choices(TEXTS, k=dice.randrange(4))),
        lambda: dice.choice([0, -1, 2**70, 0.5, -1e-7, 1e300, True, False, None]),
        lambda: [any_value(dice, levels - 1) for _ in range(dice.randrange(4))],
        lambda: any_object(dice, levels - 1),
    ]
    return dice.choice(kinds if levels else kinds[:2])()


def any_object(dice: random.Random, levels: int = 3) -> dict[str, Any]:
    return {dice.choice(TEXTS) + str(n): any_value(dice, levels) for n in range(dice.randrange(4))}


def any_written(dice: random.Random, value: Any) -> str:
    return json.dumps(value, indent=dice.choice([None, 2]), ensure_ascii=dice.random() < 0.5)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_any_object_comes_back_out_of_any_wrapper(wrapper):
    dice = random.Random(wrapper)
    for _ in range(200):
        value = any_object(dice)
        assert parse_json(wrapper.format(any_written(dice, value))) == value


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_any_object_that_was_cut_anywhere_is_refused_in_any_wrapper(wrapper):
    dice = random.Random(wrapper)
    for _ in range(20):
        written = any_written(dice, any_object(dice))
        for length in range(len(written)):
            with pytest.raises(OutputParserException):
                pytest.fail(str(parse_json(wrapper.format(written[:length]))))


# --- Hostile text -------------------------------------------------------------------------------

# A line for each character would be more.
CHARS, MAX_STEPS = 500_000, 400_000
UNITS = [
    *("{", "[", "]", '{"a":', "{x} ", "{} ", "[],", '{"a" 1} ', '["],'),
    *("`", "```", "```x ", "```json{}```", "```json{x} "),
    *("<", "</", "</think>", "<|a|>", "<|message|>", "[/THINK]"),
    *('"', '"",', '\\"', "\\", "\n", "\ufeff", "\ud800", "😀", "a"),
    *("1", "1,", "1" * 199 + ",", "1.5,", "1e100,", '"k":0,'),
]
FRAMES = [("", ""), ("x [", "0] y"), ('x {"', ""), ("```json\n", "\n```"), ("<think>", "</think>{}")]


def steps_of(text: str) -> int:
    """How many lines of Python run to read ``text``."""
    lines = 0

    def count(frame: FrameType, event: str, argument: Any) -> Callable:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        parse_json(text)
    except OutputParserException:
        pass
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("unit", UNITS)
def test_long_text_is_read_in_fewer_steps_than_it_has_characters(unit):
    for before, after in FRAMES:
        text = before + unit * (CHARS // len(unit)) + after
        assert steps_of(text) < MAX_STEPS, (before, after)


@pytest.mark.parametrize("unit", ["{x} ", '{"a" 1} ', "{} ", "```x ", "```json{}```", "</think>"])
def test_as_many_marks_as_are_allowed_are_read_in_few_steps_wherever_they_stand(unit):
    marks = unit * (MAX_MARKS // max(1, unit.count("{") + unit.count("```")) - 1)
    for text in (marks + "\n" * 1024 * 1024 + "x", "\n" * 1024 * 1024 + marks):
        assert steps_of(text) < MAX_STEPS


def test_as_many_brackets_as_are_allowed_are_read():
    texts = ["x"] * (MAX_BRACKETS // 2 - 1)

    assert parse_json(f"Here: {json.dumps([[text] for text in texts])}") == [[text] for text in texts]


@pytest.mark.parametrize("text", ["[" + "[]," * (MAX_BRACKETS // 2) + "0]", "{x} " * (MAX_MARKS + 1) + "{}"])
def test_more_brackets_or_marks_are_refused(text):
    with pytest.raises(OutputParserException, match="too many"):
        parse_json(text)
