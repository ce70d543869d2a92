"""The shortest plan, and whether it is asked for pieces."""

import pytest

from tests.runtime.helpers import plan, step, target

BOTH = pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])


def one(upstream, *, run_timeout_s: float = 10, parser: str = "text", **data):
    return plan(step(target(upstream, **data), parser=parser), run_timeout_s=run_timeout_s)
