"""The reader of answers, on answers that a seeded generator makes and disturbs."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from chains.runtime.errors import ChainHubError
from chains.runtime.pricing import Usage
from chains.runtime.providers.answers import AnswerReader
from chains.runtime.providers.completions import Chat
from chains.runtime.providers.pieces import Piece
from chains.runtime.providers.tidy import Tidy
from tests.upstream.completions import chunk, completion, events

SEEDS = range(300)
ALPHABET = [
    "a",
    "b ",
    "\n",
    "{",
    '"',
    "é",
    "\u2028",
    "中",
    "\U0001f600",
    "\U0001f468\u200d\U0001f469",
    "<th",
    "data: ",
]
REASONS = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "MAX_TOKENS": "length",
    "content_filter": "content_filter",
}
ODD: list[Any] = [
    b": ping\n\n",
    b"\n\n\n",
    b"data:\n\n",
    b"data: null\n\n",
    b"data: [1, 2]\n\n",
    b"data: ping\n\n",
    b"event: ping\ndata: {}\n\n",
    b"id: 7\nretry: 5\n\n",
    {},
    {"choices": None},
    {"choices": []},
    {"choices": [None]},
    {"choices": [{"index": 1, "delta": {"content": "other"}}]},
    {"type": "ping"},
    {"usage": "n/a", "choices": []},
    {"usage": {"prompt_tokens": -1, "completion_tokens": 2}, "choices": []},
    {"error": None},
    chunk(None),
    chunk(...),
    chunk({}),
    chunk({"content": None}),
    chunk({"content": 3}),
    chunk({"content": []}),
    chunk({"content": "", "tool_calls": [], "function_call": None}),
    chunk({"tool_calls": [{"index": 0, "function": None}, None, 5]}),
    chunk({"reasoning_content": ""}),
    chunk({}, {}),
    chunk({}, []),
    chunk({}, True),
    chunk({}, "None"),
]


@dataclass(frozen=True)
class Answer:
    """What a model has said, and how a server tells it in whole."""

    pieces: list[str]
    reason: str
    usage: dict[str, int]

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def chunks(self) -> list[Any]:
        role = chunk({"role": "assistant", "content": ""})
        usage = {**chunk({}), "choices": [], "usage": self.usage}
        return [role, *(chunk({"content": p}) for p in self.pieces), chunk({}, self.reason), usage]

    def is_told_by(self, read: "Read") -> bool:
        usage = Usage(input_tokens=self.usage["prompt_tokens"], output_tokens=self.usage["completion_tokens"])
        return (read.text, read.finish_reason, read.usage) == (self.text, REASONS[self.reason], usage)


@dataclass(frozen=True)
class Read:
    text: str
    finish_reason: str
    usage: Usage | None


def made(dice: random.Random) -> Answer:
    pieces = ["".join(dice.choices(ALPHABET, k=dice.randint(1, 5))) for _ in range(dice.randint(1, 8))]
    usage = {"prompt_tokens": dice.randint(1, 99), "completion_tokens": dice.randint(1, 99)}
    return Answer(pieces, dice.choice(list(REASONS)), usage)


def read(data: bytes, dice: random.Random) -> Read | ChainHubError:
    """Read the bytes, which come in parts of any length."""
    reader, pieces = AnswerReader(Chat(Tidy(splits_thinking=True))), list[Piece]()
    while data and not reader.fault and not reader.is_over:
        size = dice.choice([1, 2, 3, 7, 50, 4000])
        pieces += reader.add(data[:size])
        data = data[size:]
    if not reader.fault:
        pieces += reader.finish()
    if reader.fault:
        return reader.fault
    *content, last = pieces
    assert last.end is not None
    assert all(piece.end is None for piece in content)
    return Read("".join(piece.text for piece in content), last.end.finish_reason, last.end.usage)


# --- What changes nothing ----------------------------------------------------------------------


def odd_events(chunks: list[Any], dice: random.Random) -> list[Any]:
    for _ in range(dice.randint(1, 6)):
        chunks.insert(dice.randint(0, len(chunks)), dice.choice(ODD))
    return chunks


def repeated_usage(chunks: list[Any], dice: random.Random) -> list[Any]:
    usage = chunks[-1]["usage"]
    return [{**each, "usage": usage} if dice.random() < 0.5 else each for each in chunks]


def repeated_ends(chunks: list[Any], dice: random.Random) -> list[Any]:
    *content, reason, usage = chunks
    return [*content, *[reason] * dice.randint(1, 3), *[usage] * dice.randint(1, 3)]


def split_characters(chunks: list[Any], dice: random.Random) -> list[Any]:
    """Every character beyond U+FFFF comes in its two halves."""
    return [part for each in chunks for part in _halves(each)]


def _halves(each: dict[str, Any]) -> list[Any]:
    text = each["choices"][0]["delta"].get("content", "") if each["choices"] else ""
    if text.isascii():
        return [each]
    units = text.encode("utf-16-le")
    parts = [units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)]
    return [chunk({"content": part}) for part in parts]


CHANGES: list[Callable[[list[Any], random.Random], list[Any]]] = [
    odd_events,
    repeated_usage,
    repeated_ends,
    split_characters,
]


def framed(chunks: list[Any], dice: random.Random, *, done: bool = True) -> bytes:
    end = dice.choice([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n"])
    chunks = [
        each.replace(b"\n", end[: len(end) // 2 or 1]) if isinstance(each, bytes) else each for each in chunks
    ]
    data = events(*chunks, end=end, prefix=dice.choice([b"data: ", b"data:"]), done=done)
    return dice.choice([b"", b"\xef\xbb\xbf", b"\n"]) + data


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changes_nothing_changes_nothing(change):
    for seed in SEEDS:
        dice = random.Random(seed)
        answer = made(dice)
        data = framed(change(answer.chunks(), dice), dice)
        assert answer.is_told_by(read(data, dice)), (seed, data)


def test_all_changes_at_once_change_nothing():
    for seed in SEEDS:
        dice = random.Random(seed)
        answer = made(dice)
        chunks = answer.chunks()
        for change in reversed(CHANGES):
            chunks = change(chunks, dice)
        data = framed(chunks, dice)
        assert answer.is_told_by(read(data, dice)), (seed, data)


def test_a_whole_answer_says_the_same_as_a_streamed_one():
    for seed in SEEDS:
        dice = random.Random(seed)
        answer = made(dice)
        told = completion(answer.text, answer.reason, usage=answer.usage)
        data = json.dumps(told, indent=dice.choice([None, 1]), ensure_ascii=dice.random() < 0.5).encode()
        assert answer.is_told_by(read(data, dice)), (seed, data)


# --- Cut ---------------------------------------------------------------------------------------


def test_what_is_cut_before_both_ends_is_no_success():
    for seed in SEEDS:
        dice = random.Random(seed)
        answer = made(dice)
        before = framed(odd_events(answer.chunks()[:-2], dice), dice, done=False)
        cut = before[: dice.randint(0, len(before))]
        assert isinstance(read(cut, dice), ChainHubError), (seed, cut)


def test_what_is_cut_after_the_finish_reason_is_the_same_text():
    for seed in SEEDS:
        dice = random.Random(seed)
        answer = made(dice)
        *content, usage = answer.chunks()
        whole = framed(content, dice, done=False)
        after = events(usage)
        got = read(whole + after[: dice.randint(0, len(after))], dice)
        assert isinstance(got, Read), (seed, got)
        assert (got.text, got.finish_reason) == (answer.text, REASONS[answer.reason])


def test_what_is_cut_after_done_is_the_same_text():
    for seed in SEEDS:
        dice = random.Random(seed)
        answer = made(dice)
        got = read(framed(answer.chunks()[:-2], dice) + b"data: {broken", dice)
        assert isinstance(got, Read), (seed, got)
        assert (got.text, got.finish_reason) == (answer.text, "stop")
