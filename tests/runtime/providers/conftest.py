"""What the tests of a model's calls share."""

import pytest

from tests.runtime.helpers import DIRECT
from tests.upstream import Upstream


@pytest.fixture(autouse=True, params=[True, False], ids=["direct", "sdk"])
def transport(request):
    """Everything in this folder holds whether calls go around the OpenAI SDK or through it."""
    token = DIRECT.set(request.param)
    yield
    DIRECT.reset(token)


@pytest.fixture
def spare():
    """Another provider, which stands in."""
    with Upstream() as server:
        yield server
