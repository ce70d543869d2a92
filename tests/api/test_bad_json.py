"""Bodies that are no JSON object in bounds: refused as JSON, the same on every database."""

import pytest
from django.test import Client

from tests.api.conftest import JSON, is_error

NOT_JSON = {
    "words": b"hello",
    "cut": b'{"input": {"topic": "x"',
    "trailing comma": b'{"input": 1,}',
    "single quotes": b"{'input': 1}",
    "two values": b"{} {}",
    "form": b"input=1&topic=x",
    "raw control character": b'{"input": "a\nb"}',
    "UTF-32": '{"input": 1}'.encode("utf-32-le"),
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"input": 1}',
}
NO_TEXT = {
    "invalid UTF-8": b'{"input": "\xff"}',
    "overlong UTF-8": b'{"input": "\xc0\xaf"}',
    "raw surrogate": b'{"input": "\xed\xa0\x80"}',
    "UTF-16": '{"input": 1}'.encode("utf-16"),
}
REFUSED = {
    "empty": b"",
    "blank": b" \r\n\t",
    "null": b"null",
    "list": b'[{"input": 1}]',
    "string": b'"input"',
    "number": b"3",
    "true": b"true",
    "NUL in a value": rb'{"input": {"topic": "a\u0000b"}}',
    "NUL in a key": rb'{"input": {"to\u0000pic": "x"}}',
    "NUL beside the input": rb'{"input": {"topic": "x"}, "kwargs": "\u0000"}',
    "lone high surrogate": rb'{"input": {"topic": "\ud800"}}',
    "lone low surrogate": rb'{"input": {"topic": "\udfff x"}}',
    "surrogates the wrong way round": rb'{"input": {"topic": "\udc00\ud800"}}',
    "lone surrogate in a key": rb'{"input": {"\ud800": "x"}}',
    "NaN": b'{"input": {"topic": NaN}}',
    "Infinity": b'{"input": {"topic": Infinity}}',
    "-Infinity": b'{"input": {"topic": -Infinity}}',
    "1e400": b'{"input": {"topic": 1e400}}',
    "-1e400": b'{"input": {"topic": -1e400}}',
    "integer of 5000 digits": b'{"input": {"topic": ' + b"9" * 5000 + b"}}",
    "10^100": b'{"input": {"topic": 1' + b"0" * 100 + b"}}",
    "2^63": b'{"input": {"topic": 9223372036854775808}}',
    "duplicate keys": b'{"input": {"topic": "a", "topic": "b"}}',
    "duplicate keys at top": b'{"input": 1, "input": {"topic": "b"}}',
    "duplicate keys, one escaped": rb'{"input": 1, "inpu\u0074": 2}',
    "nesting of 33": b'{"input":' + b"[" * 32 + b"]" * 32 + b"}",
    "nesting of 33 beside the input": b'{"input":1,"x":' + b'{"a":' * 32 + b"1" + b"}" * 32 + b"}",
    "nesting of 900": b'{"input":' + b"[" * 900 + b"]" * 900 + b"}",
    "nesting of 100 000": b"[" * 100_000,
    "nesting of 100 000 objects": b'{"a":' * 100_000,
    "list over 1000": b'{"input": [' + b"1," * 1000 + b"1]}",
}
BAD = [(name, body, 400) for name, body in NO_TEXT.items()]
BAD += [(name, body, 422) for name, body in (NOT_JSON | REFUSED).items()]

every_bad_body = pytest.mark.parametrize(
    ("body", "status"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD]
)
every_run_route = pytest.mark.parametrize("endpoint", ["invoke", "batch", "stream"])


@pytest.fixture
def post(shared_db, alice_key):
    """Send a body with a key; what is refused here never reaches a chain."""
    headers = {"Authorization": f"Bearer {alice_key}"}

    def post(endpoint, body, content_type=JSON):
        return Client().generic(
            "POST", f"/chains/joke/{endpoint}", body, content_type=content_type, headers=headers
        )

    return post


@every_bad_body
def test_a_bad_body_is_refused_by_every_run_route_alike(post, body, status):
    answers = [post(endpoint, body) for endpoint in ("invoke", "batch", "stream")]

    assert all(is_error(answer, status, "invalid_json") for answer in answers)
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x"])
def test_a_bad_body_is_refused_whatever_its_content_type(post, content_type):
    assert is_error(post("invoke", b"hello", content_type), 422, "invalid_json")


@every_run_route
def test_a_body_of_one_mebibyte_is_read(post, endpoint, settings):
    body = b"{}".ljust(settings.MAX_BODY_BYTES)

    assert len(body) == 1024 * 1024
    assert is_error(post(endpoint, body), 422, "invalid_input")


@every_run_route
def test_a_body_of_one_byte_more_is_too_large(post, endpoint, settings):
    body = b"{}".ljust(settings.MAX_BODY_BYTES + 1)

    assert is_error(post(endpoint, body), 413, "body_too_large")


@every_run_route
def test_what_is_just_in_bounds_reaches_the_endpoints_own_checks(post, endpoint):
    deep = b'{"x":' + b"[" * 31 + b"]" * 31 + b"}"
    integers = b'{"x": [9223372036854775807, -9223372036854775808]}'
    pair = rb'{"x": "\ud83d\ude00"}'
    long = b'{"x": "' + b"x" * 256 * 1024 + b'", "y": [' + b"1," * 999 + b"1]}"

    for body in (deep, integers, pair, long):
        assert is_error(post(endpoint, body), 422, "invalid_input")


def test_what_was_refused_is_not_repeated(post):
    response = post("invoke", b'{"secret-word": NaN}')

    assert b"secret-word" not in response.content
