"""The one JSON parser for what callers send."""

import json
import time
from contextlib import suppress

import pytest

from chains.runtime.wire.strict_json import (
    MAX_DEPTH,
    MAX_LIST_ITEMS,
    MAX_VALUES,
    InvalidJSON,
    strict_json,
    strict_json_object,
)


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def lists(count: int) -> bytes:
    """``count`` numbers, in lists of 1000."""
    sizes = [1000] * (count // 1000) + [count % 1000]
    return json.dumps([[0] * size for size in sizes]).encode()


REFUSED = {
    "NUL in a value": (rb'{"a": "x\u0000y"}', 422),
    "NUL in a key": (rb'{"\u0000": 1}', 422),
    "a high surrogate": (rb'{"a": "\ud800"}', 422),
    "a low surrogate": (rb'{"a": "\udfff"}', 422),
    "surrogates the wrong way round": (rb'{"a": "\ude00\ud83d"}', 422),
    "a surrogate in a key": (rb'{"\ud800": 1}', 422),
    "NaN": (b'{"a": NaN}', 422),
    "Infinity": (b'{"a": Infinity}', 422),
    "-Infinity": (b'{"a": -Infinity}', 422),
    "1e400": (b'{"a": 1e400}', 422),
    "-1e400": (b'{"a": -1e400}', 422),
    "5000 digits": (b'{"a": ' + b"9" * 5000 + b"}", 422),
    "10^100": (b'{"a": 1' + b"0" * 100 + b"}", 422),
    "2^63": (b'{"a": 9223372036854775808}', 422),
    "-2^63 - 1": (b'{"a": -9223372036854775809}', 422),
    "33 levels": (nested(MAX_DEPTH + 1), 422),
    "900 levels": (nested(900), 422),
    "100 000 levels": (nested(100_000), 422),
    "100 000 open brackets": (b"[" * 100_000, 422),
    "100 000 open objects": (b'{"a":' * 100_000, 422),
    "duplicate keys": (b'{"a": 1, "a": 2}', 422),
    "duplicate keys further in": (b'{"a": [{"b": 1, "b": 1}]}', 422),
    "keys that are the same once decoded": (rb'{"a": 1, "\u0061": 2}', 422),
    "a long list": (json.dumps([0] * (MAX_LIST_ITEMS + 1)).encode(), 422),
    "a value too many": (lists(MAX_VALUES - 19), 422),
    "too many objects": (b'{"a":[' + b"{}," * MAX_VALUES + b"{}]}", 422),
    "too many keys": (json.dumps({f"k{i}": 0 for i in range(MAX_VALUES + 1)}).encode(), 422),
    "nothing": (b"", 422),
    "blanks": (b" \r\n\t", 422),
    "no JSON": (b"topic=cats", 422),
    "half of it": (b'{"a": ', 422),
    "a single quote": (b"{'a': 1}", 422),
    "a comma too many": (b"[1,]", 422),
    "a comment": (b"[1] // one", 422),
    "two values": (b"{} {}", 422),
    "a raw line end in a string": (b'["a\nb"]', 422),
    "a raw NUL": (b'{"a": 1}\x00', 422),
    "a leading zero": (b"[01]", 422),
    "invalid UTF-8": (b'{"a": "\xff"}', 400),
    "an overlong form": (b'["\xc0\xaf"]', 400),
    "a surrogate in UTF-8": (b'["\xed\xa0\x80"]', 400),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), 400),
    "UTF-16 without its mark": ('{"a": 1}'.encode("utf-16-le"), 422),
    "a byte order mark alone": (b"\xef\xbb\xbf", 422),
    "two byte order marks": (b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}', 422),
    "a byte order mark behind a blank": (b' \xef\xbb\xbf{"a": 1}', 422),
    "brackets closed before they open": (b"]" * 1000 + b"[" * 1000, 422),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_not_be_stored_or_echoed_is_refused(case):
    data, status = REFUSED[case]

    with pytest.raises(InvalidJSON) as caught:
        strict_json(data)

    assert caught.value.status == status
    assert len(str(caught.value)) < 200


ACCEPTED = {
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "32 levels": nested(MAX_DEPTH),
    "brackets in a string": json.dumps({"a": "[" * 1000 + '"' + "\\"}).encode(),
    "the largest integer": b"[9223372036854775807]",
    "the smallest integer": b"[-9223372036854775808]",
    "a number near zero": b"[1e-400]",
    "a pair of surrogates": rb'["\ud83d\ude00"]',
    "a long string": b'["' + b"x" * 1024 * 1024 + b'"]',
    "values at the limit": lists(MAX_VALUES - 20),
    "a text with many quotes and brackets": json.dumps(["[]{}," + '\\"' * 100_000]).encode(),
    "a list at the limit": json.dumps([0] * MAX_LIST_ITEMS).encode(),
    "control characters": rb'["\u0001\u001f\u007f\u2028"]',
    "the same key in two objects": b'[{"a": 1}, {"a": 2}]',
    "LangChain's marks as plain data": b'{"lc": 1, "type": "secret", "id": ["SECRET_KEY"]}',
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_is_within_the_limits_is_read_as_it_stands(case):
    assert strict_json(ACCEPTED[case]) == json.loads(ACCEPTED[case])


@pytest.mark.parametrize("data", [b"[]", b"null", b"3", b'"text"', b"true", b"[{}]"])
def test_only_an_object_will_do_at_the_top(data):
    with pytest.raises(InvalidJSON, match="must be a JSON object") as caught:
        strict_json_object(data)

    assert caught.value.status == 422


def test_what_is_nested_too_deeply_is_told_as_such():
    with pytest.raises(InvalidJSON, match="nested deeper than 32 levels"):
        strict_json(b"[" * 100_000)


def test_the_place_of_a_mistake_is_named():
    with pytest.raises(InvalidJSON, match=r"\(line 2, column 8\)"):
        strict_json(b'{\n  "a": x}')


MIB = 1024 * 1024
TRAPS = {
    "quotes": b'"' * MIB,
    "an open string of backslashes": b'"' + b"\\" * MIB,
    "escaped quotes": b'"' + b'\\"' * (MIB // 2),
    "open strings": b'"\\' * (MIB // 2),
    "many strings": b"[" + b'"a",' * (MIB // 4) + b"1]",
    "a number of a million digits": b"[" + b"9" * MIB + b"]",
    "a fraction of a million digits": b"[0." + b"9" * MIB + b"]",
    "an exponent of a million digits": b"[1e" + b"9" * MIB + b"]",
    "zeros": b"[0." + b"0" * MIB + b"1]",
    "many objects": b"[" + b"{}," * (MIB // 3) + b"{}]",
    "many keys": json.dumps({f"k{i}": 0 for i in range(80_000)}).encode(),
    "lines": b"\n" * MIB + b"x",
    "open brackets": b"[" * MIB,
    "closed brackets": b"]" * MIB,
    "surrogates": b'["' + rb"\ud800" * (MIB // 6) + b'"]',
}


@pytest.mark.parametrize("case", TRAPS)
def test_a_whole_body_of_anything_is_read_in_linear_time(case):
    began = time.process_time()
    with suppress(InvalidJSON):
        strict_json(TRAPS[case])
    assert time.process_time() - began < 0.3
