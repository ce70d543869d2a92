"""A config in a URL, packed as lz-string packs it."""

import json
import random
import time
import tracemalloc
from contextlib import suppress

import pytest
from langserve.lzstring import LZString

from chains.runtime.errors import InvalidConfigHash
from chains.runtime.wire.config_hash import ALPHABET, MAX_CHARS, decode_config_hash


def packed(text: str) -> str:
    """``text`` as JavaScript has it, whose characters are of 16 bits."""
    units = text.encode("utf-16-le", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return LZString.compressToEncodedURIComponent("".join(chr(low | high << 8) for low, high in pairs))


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("N4XyA", {}),
        (
            "N4Igxg9gdgZglgcwK4CcCGAjANgUxALlBRwGcAHAgbRAC8cATEAXQF8Wg",
            {"configurable": {"resp": ["zed"]}},
        ),
    ],
)
def test_what_langserves_playground_writes_is_read(text, config):
    assert decode_config_hash(text) == config


@pytest.mark.parametrize(
    "config",
    [
        {"a": "é漢"},
        {"a": "😀 and 🙂"},
        {"a": ""},
        {"a" * 300: "a" * 3000},
        {"a": [None, True, 1.5, -3, {"b": {}}]},
        {"a": '\u2028\x85\r\n\t"\\'},
    ],
)
def test_a_config_comes_out_as_it_went_in(config):
    assert decode_config_hash(packed(json.dumps(config, ensure_ascii=False))) == config


def any_value(chance: random.Random, depth: int = 3) -> object:
    kind = chance.randrange(6 if depth else 4)
    if kind == 4:
        return [any_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 5:
        return {f"k{i}": any_value(chance, depth - 1) for i in range(chance.randrange(4))}
    text = "".join(chance.choice('ab {}"\\é漢😀\n') for _ in range(chance.randrange(30)))
    return [text, chance.randrange(10**6), None, chance.random()][kind]


def test_any_config_comes_out_as_it_went_in():
    chance = random.Random(7)
    for _ in range(200):
        config = {f"key{i}": any_value(chance) for i in range(chance.randrange(5))}
        for spaced in (None, (",", ":")):
            text = json.dumps(config, ensure_ascii=False, separators=spaced)
            assert decode_config_hash(packed(text)) == config


@pytest.mark.parametrize(
    "text",
    ["", "N", "N4X", "garbage", "%", "N4XyA=", "é", "\x00", "\ud800", "N4 XyA", "A", "$", "Q", "*"],
)
def test_what_is_no_hash_is_refused(text):
    with pytest.raises(InvalidConfigHash):
        decode_config_hash(text)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "null", '"x"', "{", '{"a": NaN}', '{"a": 1, "a": 2}', '{"a": 1e999}', "{" * 40],
)
def test_what_unpacks_to_no_object_is_refused(text):
    with pytest.raises(InvalidConfigHash):
        decode_config_hash(packed(text))


@pytest.mark.parametrize("text", ['{"a": "\x00"}', '{"a": "\\ud800"}', '{"a": "\ud800"}', '{"\udc00": 1}'])
def test_text_that_cannot_be_kept_is_refused(text):
    with pytest.raises(InvalidConfigHash):
        decode_config_hash(packed(text))


def test_random_letters_never_do_more_than_being_refused():
    chance = random.Random(7)
    letters = "".join(ALPHABET)
    for _ in range(3000):
        with suppress(InvalidConfigHash):
            decode_config_hash("".join(chance.choice(letters) for _ in range(chance.randrange(60))))


def test_a_damaged_hash_never_does_more_than_being_refused():
    chance = random.Random(7)
    whole = packed(json.dumps({"configurable": {"model": "demo", "temperature": 0.5}}))
    for _ in range(1000):
        place = chance.randrange(len(whole))
        with suppress(InvalidConfigHash):
            decode_config_hash(whole[:place] + chance.choice("".join(ALPHABET)) + whole[place + 1 :])


def test_a_config_may_be_only_so_large():
    frame = len('{"a":""}')
    assert (
        len(decode_config_hash(packed('{"a":"%s"}' % ("x" * (MAX_CHARS - frame))))["a"]) == MAX_CHARS - frame
    )
    with pytest.raises(InvalidConfigHash):
        decode_config_hash(packed('{"a":"%s"}' % ("x" * (MAX_CHARS - frame + 1))))


@pytest.fixture(scope="module")
def bomb() -> str:
    """A million characters in three thousand."""
    return packed('{"a":"%s"}' % ("a" * 1_000_000))


def test_a_bomb_is_refused_without_being_unpacked(bomb):
    assert len(bomb) < 4000
    tracemalloc.start()
    began = time.thread_time()

    with pytest.raises(InvalidConfigHash):
        decode_config_hash(bomb)

    seconds, (_, peak) = time.thread_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    assert seconds < 1


@pytest.mark.parametrize("text", ["N" * 300_000, "A" * 300_000, "-" * 300_000, "N4XyA" * 60_000])
def test_a_huge_hash_is_refused_or_read_at_once(text):
    began = time.thread_time()

    with suppress(InvalidConfigHash):
        decode_config_hash(text)

    assert time.thread_time() - began < 1
