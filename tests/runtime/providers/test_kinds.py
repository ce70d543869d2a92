"""Kinds of provider that bring any chat model of LangChain's."""

import pytest

from chains.runtime.providers import KINDS, Kind
from tests.runtime.helpers import plan, run, step, target


@pytest.fixture
def plain():
    kind = Kind(
        label="Plain",
        needs_endpoint=False,
        extra_params=frozenset(),
        module="tests.runtime.providers.plain",
    )
    KINDS["plain"] = kind
    yield target(kind="plain", model="any")
    del KINDS["plain"]


@pytest.mark.parametrize("mode", ["whole", "stream", "events", "log"])
async def test_a_model_that_cannot_stream_answers_in_one_piece(plain, mode):
    ran = await run(plan(step(plain)), mode=mode)

    assert (ran.output, ran.finish_reason) == ("re: cats", "stop")
    assert ran.chunks == ([] if mode == "whole" else ["re: cats"])
