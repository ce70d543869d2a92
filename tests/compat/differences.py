"""Every way in which ChainHub answers otherwise than LangServe, by intention, and why."""

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import jsonpatch

from tests.compat.cases import Case


@dataclass(frozen=True, kw_only=True)
class Answer:
    """``body`` has its ids and times replaced; ``cut``: the connection broke before its end."""

    status: int
    headers: dict[str, str]
    body: str
    cut: bool = False

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def data(self) -> Any:
        """The body of an answer in JSON."""
        is_json = self.headers.get("content-type") == "application/json"
        return json.loads(self.body) if is_json and self.body else None

    def with_data(self, data: Any) -> "Answer":
        return replace(self, body=json.dumps(data, ensure_ascii=False, separators=(",", ":")))

    def with_frames(self, change: Callable[[str, str], str]) -> "Answer":
        """``change`` is given each frame's event and data."""
        lines, event = [], ""
        for line in self.body.split("\r\n"):
            name, _, rest = line.partition(": ")
            event = rest if name == "event" else event
            lines.append(f"data: {change(event, rest)}" if name == "data" else line)
        return replace(self, body="\r\n".join(lines))


Rewrite = Callable[[Answer, Answer], tuple[Answer, Answer]]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """``rewrite`` gives both answers as they would be without it; ``only`` names the cases it is for."""

    what: str
    why: str
    rewrite: Rewrite
    only: Collection[str] = ()

    def applied(self, case: Case, theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
        if self.only and case.name not in self.only:
            return theirs, ours
        return self.rewrite(theirs, ours)


# --- What is rewritten -------------------------------------------------------------------------


OURS = {"detail", "message", "code"}


def _without_message_and_code(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    if ours.status >= 400 and isinstance(ours.data, dict) and set(ours.data) - {"run_id"} == OURS:
        ours = ours.with_data({"detail": ours.data["detail"]})
    return theirs, ours


def _without_what_was_sent(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    if theirs.status == 422 and isinstance(theirs.data["detail"], list):
        kept = ("type", "loc", "msg")
        faults = [
            {name: fault[name] for name in kept} if isinstance(fault, dict) else fault
            for fault in theirs.data["detail"]
        ]
        theirs = theirs.with_data({"detail": faults})
    return theirs, ours


def _failures_in_json(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    if theirs.status == 500 and theirs.body == "Internal Server Error" and ours.status == 500:
        headers = {**theirs.headers, "content-type": "application/json"}
        theirs = replace(theirs, headers=headers, body='{"detail":"Internal server error."}')
    return theirs, ours


def _without_internal_metadata(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    def change(event: str, data: str) -> str:
        data = re.sub(r'"__\w+":"[^"]*",?', "", data)
        return data.replace(",}", "}")

    return (theirs.with_frames(change) if theirs.is_stream else theirs), ours


def _in_ascii(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    def change(event: str, data: str) -> str:
        return re.sub(r"[^\x00-\x7f]", lambda m: json.dumps(m[0])[1:-1], data)

    return (theirs.with_frames(change) if theirs.is_stream else theirs), ours


def _error_events(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    def change(event: str, data: str) -> str:
        if event != "error":
            return data
        told = json.loads(data)
        assert set(told) == {"status_code", "detail", "message", "code", "run_id"}
        assert told["detail"] == told["message"] == "Internal server error."
        return '{"status_code": 500, "message": "Internal Server Error"}'

    if ours.is_stream and theirs.cut:
        ours, theirs = ours.with_frames(change), replace(theirs, cut=False)
    return theirs, ours


def _without_the_type_of_prompt_values(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    kind = ',"type":"ChatPromptValueConcrete"'
    return theirs, ours.with_frames(lambda _, data: data.replace(kind, "")) if ours.is_stream else ours


def _after_each_patch(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    return _states(theirs), _states(ours)


def _states(answer: Answer) -> Answer:
    state: Any = {}

    def change(event: str, data: str) -> str:
        nonlocal state
        state = jsonpatch.apply_patch(state, json.loads(data)["ops"])
        return json.dumps(state, sort_keys=True)

    return answer.with_frames(change)


def _with_their_words(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    for our_words, their_words in [
        ("Input should be an object", "Input should be a valid dictionary"),
        ("instance of Configurable", "instance of configuredConfigurable"),
    ]:
        ours = replace(ours, body=ours.body.replace(our_words, their_words))
    return theirs, ours


def _same_status(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    """Only the words differ, in the cases that are named."""
    return (ours, ours) if theirs.status == ours.status else (theirs, ours)


def _without_inputs(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    def change(event: str, data: str) -> str:
        told = json.loads(data)
        told["data"].pop("input", None)
        return json.dumps(told)

    return theirs.with_frames(change), ours.with_frames(change)


def _read_messages(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
    """What of a message reaches the chain."""
    for sent, read in [
        ('"additional_kwargs":{"k":1}', '"additional_kwargs":{}'),
        (',"evil":1', ""),
        (
            '"content":"piece","additional_kwargs":{},"response_metadata":{},"type":"AIMessageChunk"',
            '"content":"piece","additional_kwargs":{},"response_metadata":{},"type":"ai"',
        ),
        (',"tool_call_chunks":[],"chunk_position":null', ""),
    ]:
        theirs = replace(theirs, body=theirs.body.replace(sent, read))
    return theirs, ours


def _told(status: int, *, was: int) -> Rewrite:
    """Another status altogether, in the cases that are named."""

    def rewrite(theirs: Answer, ours: Answer) -> tuple[Answer, Answer]:
        return (ours, ours) if (theirs.status, ours.status) == (was, status) else (theirs, ours)

    return rewrite


DIFFERENCES = [
    Difference(
        what="errors carry message and code beside detail, and the id of a run that failed",
        why="LangServe's JavaScript client shows only 'message', and programs need a stable code.",
        rewrite=_without_message_and_code,
    ),
    Difference(
        what="a 422 does not repeat what was sent",
        why="What was sent may be secret, and names of pydantic's versions are nobody's business.",
        rewrite=_without_what_was_sent,
    ),
    Difference(
        what="a failure is told in JSON",
        why="Both clients read JSON; a text body is a syntax error to the JavaScript client.",
        rewrite=_failures_in_json,
    ),
    Difference(
        what="internal metadata stays inside",
        why="Keys that begin with __ are the server's own.",
        rewrite=_without_internal_metadata,
    ),
    Difference(
        what="streams are in ASCII",
        why="The Python client splits lines at U+2028, U+2029 and U+0085.",
        rewrite=_in_ascii,
    ),
    Difference(
        what="an error event tells more, and the connection is closed in order",
        why="The run can be found by its id, and proxies need not report a broken connection.",
        rewrite=_error_events,
    ),
    Difference(
        what="a chat prompt's value says what it is in streams too",
        why="LangServe names its type in whole answers only; without the name no client can read it back.",
        rewrite=_without_the_type_of_prompt_values,
    ),
    Difference(
        what="a sum of dicts is told whole in a log",
        why="Patches of parts need a comparison of the whole for each chunk; clients end with the same.",
        rewrite=_after_each_patch,
        only=["parallel/stream_log"],
    ),
    Difference(
        what="faults of a body are told in words of JSON",
        why="A caller sends objects, not dictionaries, and knows no class of the server's.",
        rewrite=_with_their_words,
    ),
    Difference(
        what="a body that is no JSON object is told what it lacks",
        why="'Invalid JSON body' does not say where.",
        rewrite=_same_status,
        only=[
            f"text/{endpoint}: {what}"
            for endpoint in ("invoke", "stream", "batch", "stream_events", "stream_log")
            for what in ("empty", "cut", "an array", "null")
        ],
    ),
    Difference(
        what="a caller's mistake is 422, never 500",
        why="A caller can mend it, and no operator should be woken.",
        rewrite=_told(422, was=500),
        only=[
            "model/invoke: role",
            "model/invoke: tuple",
            "model/invoke: bare text in a list",
            "model/invoke: tool without id",
            "history/invoke: tuple",
            "text/batch: one input is wrong",
            "text/batch: inputs null",
        ],
    ),
    Difference(
        what="an object of inputs is no batch",
        why="LangServe answers an empty object with an empty list, and any other with 500.",
        rewrite=_told(422, was=200),
        only=["text/batch: inputs an object"],
    ),
    Difference(
        what="system messages are refused unless the chain allows them",
        why="They would rewrite the chain's instructions.",
        rewrite=_told(422, was=200),
        only=["model/invoke: system", "history/invoke: system"],
    ),
    Difference(
        what="function and chat messages are refused",
        why="They are of the past, and a chat message may claim any role.",
        rewrite=_told(422, was=200),
        only=["model/invoke: function", "model/invoke: chat"],
    ),
    Difference(
        what="a config of null is no config",
        why="Clients write out what is not set.",
        rewrite=_told(200, was=500),
        only=["text/invoke: config null", "text/stream: config null"],
    ),
    Difference(
        what="a config of null is no config in a batch either",
        why="As for one run.",
        rewrite=_told(200, was=422),
        only=["text/batch: config null", "text/batch: a null among configs"],
    ),
    Difference(
        what="a config in a list is found by its place",
        why="A list of configs is read as one, not as what else it might have been.",
        rewrite=_same_status,
        only=["text/batch: a number among configs"],
    ),
    Difference(
        what="a caller's run id counts",
        why="It lets a caller name a run beforehand; LangServe drops it, whatever it is.",
        rewrite=_told(422, was=200),
        only=["text/invoke: no run id"],
    ),
    Difference(
        what="a chain that says nothing answers null",
        why="LangServe holds answers against the type of the output, and fails those that do not fit.",
        rewrite=_told(200, was=500),
        only=["nothing/invoke", "nothing/batch"],
    ),
    Difference(
        what="a value without JSON form ends a stream with an error event",
        why="LangServe breaks the connection without a word.",
        rewrite=_same_status,
        only=["values/stream: no JSON form"],
    ),
    Difference(
        what="a body that is not UTF-8 is 400",
        why="It cannot be read at all; LangServe fails over it.",
        rewrite=_told(400, was=500),
        only=[
            f"text/{endpoint}: no UTF-8"
            for endpoint in ("invoke", "stream", "batch", "stream_events", "stream_log")
        ],
    ),
    Difference(
        what="a filter changes nothing of what it lets through",
        why="LangChain writes the whole run's input into the first event of a filtered stream.",
        rewrite=_without_inputs,
        only=[f"text/stream_events: {what}" for what in ("types", "names", "tags", "without types")],
    ),
    Difference(
        what="a filter that is no list of texts is told so in one way",
        why="Only the words differ.",
        rewrite=_same_status,
        only=[
            "text/stream_events: wrong type",
            "text/stream_events: wrong type inside",
            "text/stream_log: wrong type",
        ],
    ),
    Difference(
        what="404 and 405 have words of their own",
        why="They are one sentence in every answer of the product.",
        rewrite=_same_status,
        only=[
            *(f"{m} text/{e}" for m in ("GET", "OPTIONS", "PUT", "DELETE") for e in ("invoke", "stream")),
            "text/input_schema",
            "OPTIONS text/input_schema",
            "text/nothing_such",
            "no_such_chain/invoke",
            "GET text/",
            "GET text",
        ],
    ),
    Difference(
        what="a trailing slash is not redirected",
        why="Neither client follows a redirect, and none of them adds a slash.",
        rewrite=_told(404, was=307),
        only=["text/invoke/", "GET text/input_schema/"],
    ),
    Difference(
        what="a message's unknown fields are dropped, and a piece of one becomes one",
        why="Message classes keep what they do not know, and providers may be sent it.",
        rewrite=_read_messages,
        only=["model/stream_events: fields of its own", "model/stream_events: a chunk"],
    ),
    Difference(
        what="addresses in messages are refused",
        why="Somebody would have to fetch them.",
        rewrite=_told(422, was=200),
        only=["model/invoke: an address to fetch"],
    ),
    Difference(
        what="feedback is always taken",
        why="It is kept in the product itself and needs no service.",
        rewrite=_told(200, was=404),
        only=["HEAD text/feedback"],
    ),
    Difference(
        what="the playground is behind a login",
        why="People sign in; a key in a page is a key lost.",
        rewrite=_told(302, was=200),
        only=["GET text/playground/"],
    ),
    Difference(
        what="there are no tokens for feedback",
        why="A caller has a key; LangServe answers 400 unless a service is configured.",
        rewrite=_told(404, was=400),
        only=["text/token_feedback"],
    ),
    Difference(
        what="a key is needed",
        why="LangServe leaves this to whoever embeds it.",
        rewrite=_told(401, was=200),
        only=["text/invoke: without a key", "text/stream: without a key"],
    ),
]
