"""Which tests run one after another in one process, and which of them first."""

import pytest
from xdist.scheduler import LoadScopeScheduling

# What shares a server or a browser, and what starts several processes and mostly waits for them: the longest
# first, as nobody shall wait for it in the end. Each other module is a unit of its own.
UNITS = (
    ("tests/faults/test_processes.py",),
    ("tests/faults/test_drain.py",),
    (
        "tests/faults/test_crash.py",
        "tests/ws/",
        "tests/chainhub/test_shortway.py",
        "tests/api/test_sockets.py",
    ),
    ("tests/browser/",),
    ("tests/chainhub/test_quickstart.py",),
    ("tests/compat/",),
    ("tests/faults/test_server.py",),
    ("tests/faults/test_database.py",),
    ("tests/faults/test_cancelled.py",),
)


def unit(nodeid: str) -> tuple[int, str]:
    """Its place in the order, and its name."""
    path = nodeid.partition("::")[0]
    for place, unit in enumerate(UNITS):
        if path.startswith(unit):
            return place, unit[0]
    return len(UNITS), path


class Scheduling(LoadScopeScheduling):
    """What xdist calls a scope is a unit here. Its ``loadgroup`` is read by no process of pytest 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)[1]


@pytest.hookimpl(trylast=True)  # pytest-django has an order of its own, which is kept within a unit
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: unit(item.nodeid)[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    config.option.loadscopereorder = False
    return Scheduling(config, log)
