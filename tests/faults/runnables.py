"""Chains in code that the tests of faults have on their servers."""

import time

from chains.runtime.registry import register

MB = 1024 * 1024


def raising(value):
    raise ValueError("A chain cannot use sk-test-CANARY-0123456789")


register("raising", raising)
register("large", lambda value: "x" * (9 * MB))
register("stuck", lambda value: time.sleep(120))
