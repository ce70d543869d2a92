"""What the tests of a model's calls share."""

import pytest

from tests.upstream import Upstream


@pytest.fixture
def spare():
    """Another provider, which stands in."""
    with Upstream() as server:
        yield server
