"""LangServe and ChainHub are asked the same; they answer the same, but for the differences in the table."""

import difflib
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.compat.cases import CASES, Case
from tests.compat.differences import DIFFERENCES, Answer, Difference

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00")
HEADERS = ["content-type", "cache-control", "x-accel-buffering", "allow", "location"]


def ask(client: httpx.Client, case: Case) -> Answer:
    request = client.build_request(case.method, case.path, content=case.body, headers=case.headers)
    if not case.with_key:
        request.headers.pop("authorization", None)
    response = client.send(request, stream=True)
    data, cut = b"", False
    try:
        for piece in response.iter_raw():
            data += piece
    except (httpx.RemoteProtocolError, httpx.ReadError):
        cut = True
    headers = {name: response.headers[name] for name in HEADERS if name in response.headers}
    return Answer(status=response.status_code, headers=headers, body=normalised(data.decode()), cut=cut)


def normalised(text: str) -> str:
    """Ids are numbered in the order of their appearance."""
    known: dict[str, str] = {}
    text = UUID.sub(lambda found: known.setdefault(found[0], f"<id {len(known)}>"), text)
    return TIME.sub("<time>", text)


def differ(case: Case, theirs: Answer, ours: Answer, table: list[Difference]) -> bool:
    theirs, ours = rewritten(case, theirs, ours, table)
    return theirs != ours


def rewritten(case: Case, theirs: Answer, ours: Answer, table: list[Difference]) -> tuple[Answer, Answer]:
    for difference in table:
        theirs, ours = difference.applied(case, theirs, ours)
    return theirs, ours


def shown(case: Case, theirs: Answer, ours: Answer) -> str:
    """For the person who reads the failure."""
    theirs, ours = rewritten(case, theirs, ours, DIFFERENCES)
    lines = [[f"{a.status} {a.headers} cut={a.cut}", *a.body.split("\r\n")] for a in (theirs, ours)]
    return "\n".join([case.name, *difflib.unified_diff(*lines, "LangServe", "ChainHub", lineterm="", n=0)])


# Both start at once.
@pytest.mark.usefixtures("starting_langserve")
def test_both_answer_the_same_but_for_the_differences_in_the_table(hub, langserve, instructed):
    assert len({case.name for case in CASES}) == len(CASES), "The table names cases; names are unique."
    one_use = httpx.Limits(max_keepalive_connections=0)
    with (
        httpx.Client(base_url=langserve, limits=one_use) as them,
        httpx.Client(base_url=f"{hub.url}/chains/", limits=one_use, headers=hub.headers) as us,
        ThreadPoolExecutor(4) as pool,
    ):
        answers: list[Any] = list(pool.map(lambda case: (case, ask(them, case), ask(us, case)), CASES))

    unwanted = [shown(*asked) for asked in answers if differ(*asked, DIFFERENCES)]
    assert not unwanted, "\n\n".join(unwanted)

    gone = [
        difference.what
        for difference in DIFFERENCES
        if not any(differ(*asked, [d for d in DIFFERENCES if d is not difference]) for asked in answers)
    ]
    assert not gone, "These differences are in the table, and there are none."
