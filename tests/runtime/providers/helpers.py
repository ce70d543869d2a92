"""The shortest plan."""

from tests.runtime.helpers import plan, step, target


def one(upstream, *, run_timeout_s: float = 10, parser: str = "text", **data):
    return plan(step(target(upstream, **data), parser=parser), run_timeout_s=run_timeout_s)
