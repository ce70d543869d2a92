"""What a call has held is let go of at its end, and not when the garbage collector comes by."""

import gc

import pytest

from chains.actions.runs.owner import RunOwner
from chains.api.base import AsyncAPIView
from tests.api.conftest import sent
from tests.conftest import add_chain, over_http
from tests.upstream import answers, cut, fails


@pytest.fixture
def poem(openai, upstream):
    return add_chain("poem", over_http("poem"))


CALLS = {
    "an answer": ("invoke", {"input": {"topic": "x"}}, [answers()]),
    "a stream": ("stream", {"input": {"topic": "x"}}, [answers()]),
    "a wrong input": ("invoke", {"input": {"topic": 3}}, []),
    "a wrong body": ("invoke", b"{", []),
    "a refusal": ("invoke", {"input": {"topic": "x"}}, [fails(401)]),
    "a failure": ("invoke", {"input": {"topic": "x"}}, [fails(500)] * 3),
    "a stream that breaks": ("stream", {"input": {"topic": "x"}}, [cut(2)]),
}


@pytest.mark.parametrize("case", CALLS)
async def test_a_call_leaves_nothing_to_the_garbage_collector(api, poem, upstream, case):
    door, body, behaviours = CALLS[case]
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            upstream.script(*behaviours)
            response = await api.post(f"/chains/poem/{door}", body)
            if response.streaming:
                await sent(response)
            del response

        left = [each for each in gc.get_objects() if isinstance(each, AsyncAPIView | RunOwner)]
        # The last call may not have ended.
        assert len(left) <= 2
    finally:
        gc.enable()
