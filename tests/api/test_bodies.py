"""How a body may be written: with a byte order mark, or packed with gzip, on every door that takes one."""

import gzip
import json
import tracemalloc
import zlib

import pytest
from django.test import Client

from tests.api.conftest import JSON, SAME_ID, is_error

CATS = {"topic": "cats"}
BOM = b"\xef\xbb\xbf"
RUN = "00000000-0000-0000-0000-000000000000"
# The endpoints that take a body: what they take, and what they answer.
BODIES = {
    "invoke": ({"input": CATS}, 200),
    "batch": ({"inputs": [CATS]}, 200),
    # This input does not fit, so that no stream is left under way.
    "stream": ({"input": 3}, 422),
    "stream_events": ({"input": CATS}, 403),
    "stream_log": ({"input": CATS}, 403),
    "feedback": ({"run_id": RUN, "key": "thumbs", "score": 1}, 404),
}
every_endpoint = pytest.mark.parametrize("endpoint", BODIES)


def body_of(endpoint: str) -> bytes:
    return json.dumps(BODIES[endpoint][0]).encode()


@pytest.fixture
def post(shared_db, joke, alice_key):
    headers = {"Authorization": f"Bearer {alice_key}"} | SAME_ID

    def post(endpoint: str, body: bytes, **more: str):
        return Client().generic(
            "POST", f"/chains/joke/{endpoint}", body, content_type=JSON, headers=headers | more
        )

    return post


def told(response) -> bytes:
    """The body of an answer, without the ids of its runs."""
    return response.content.replace(response.headers.get("X-ChainHub-Run-ID", "-").encode(), b"RUN")


@every_endpoint
def test_a_byte_order_mark_before_a_body_is_skipped(post, endpoint):
    plain, marked = post(endpoint, body_of(endpoint)), post(endpoint, BOM + body_of(endpoint))

    assert (plain.status_code, marked.status_code) == (BODIES[endpoint][1],) * 2


@every_endpoint
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", " gzip "])
def test_a_body_may_be_packed_with_gzip(post, endpoint, encoding):
    packed = gzip.compress(BOM + body_of(endpoint))

    response = post(endpoint, packed, **{"Content-Encoding": encoding})

    assert response.status_code == BODIES[endpoint][1]


def test_a_packed_body_is_answered_as_a_plain_one(post):
    plain = post("invoke", body_of("invoke"), **{"Content-Encoding": "identity"})
    packed = post("invoke", gzip.compress(body_of("invoke")), **{"Content-Encoding": "gzip"})

    assert told(plain) == told(packed)


@every_endpoint
@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "gzip, br", "nonsense"])
def test_another_encoding_is_refused_with_a_word_of_what_is_supported(post, endpoint, encoding):
    response = post(endpoint, body_of(endpoint), **{"Content-Encoding": encoding})

    assert is_error(response, 415, "unsupported_encoding")
    assert "as it is, or packed with gzip" in response.json()["detail"]
    assert response.headers["Accept-Encoding"] == "gzip"


PACKED = gzip.compress(json.dumps({"input": {"topic": "cats " * 100}}).encode())
BROKEN = {
    "not packed": b'{"input": {"topic": "cats"}}',
    "nothing": b"",
    "cut off": PACKED[:-20],
    "without its checksum": PACKED[:-8],
    "a wrong checksum": PACKED[:-8] + b"\0" * 4 + PACKED[-4:],
    "a wrong length": PACKED[:-4] + b"\0" * 4,
    "zlib instead": zlib.compress(b'{"input": 1}'),
    "a byte changed": PACKED[:30] + bytes([PACKED[30] ^ 255]) + PACKED[31:],
    "more behind it": PACKED + b"{}",
    "twice": PACKED * 2,
}


@pytest.mark.parametrize("endpoint", ["invoke", "batch", "stream", "feedback"])
@pytest.mark.parametrize("case", BROKEN)
def test_broken_gzip_is_a_bad_request(post, endpoint, case):
    response = post(endpoint, BROKEN[case], **{"Content-Encoding": "gzip"})

    assert is_error(response, 400, "invalid_json")
    assert "gzip" in response.json()["detail"]


@pytest.mark.parametrize(
    "bad",
    [b"hello", b"[]", b'{"input": {"topic": NaN}}', b'{"a":' * 100_000],
    ids=lambda bad: bad[:9].decode(),
)
def test_what_is_refused_plain_is_refused_packed_alike(post, bad):
    plain = post("invoke", bad)
    packed = post("invoke", gzip.compress(bad), **{"Content-Encoding": "gzip"})

    assert (packed.status_code, told(packed)) == (plain.status_code, told(plain))


def test_a_packed_body_may_be_as_large_as_a_plain_one_and_no_larger(post, settings):
    for size, expected in ((settings.MAX_BODY_BYTES, 200), (settings.MAX_BODY_BYTES + 1, 413)):
        packed = gzip.compress(body_of("invoke").ljust(size))

        response = post("invoke", packed, **{"Content-Encoding": "gzip"})

        assert response.status_code == expected
    assert is_error(response, 413, "body_too_large")
    assert f"{settings.MAX_BODY_BYTES} bytes when it is unpacked" in response.json()["detail"]


def test_no_more_than_the_limit_is_ever_unpacked(post, settings):
    """A body of a few hundred kilobytes that holds a hundred times what is allowed."""
    bomb = gzip.compress(b" " * (100 * settings.MAX_BODY_BYTES))
    assert len(bomb) < settings.MAX_BODY_BYTES
    post("invoke", body_of("invoke"))
    tracemalloc.start()

    response = post("invoke", bomb, **{"Content-Encoding": "gzip"})

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert is_error(response, 413, "body_too_large")
    assert peak < 8 * settings.MAX_BODY_BYTES
