"""The requests that ChainHub and LangServe are both sent, good ones and bad."""

import json
from dataclasses import dataclass, field
from typing import Any

RUN_ID = "00000000-0000-4000-8000-00000000000"
# Configs as LangServe's playground writes them into an address, by lz-string.
EMPTY_HASH = "N4XyA"
PREFIX_HASH = "N4Igxg9gdgZglgcwK4CcCGAjANgUxALlAAcUd4APAkACzQGdqACEAXxaA"  # {"prefix": "hash "}
WRONG_HASH = "N4Igxg9gdgZglgcwK4CcCGAjANgUxALlAAcUd4APAgZgF8ag"  # {"prefix": 3}
LIST_HASH = "NoXSA"  # []
TOPIC = {"topic": "cats"}
HI = {"type": "human", "content": "hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/image.png"}}
NULLS = {f"{verb}_{what}": None for verb in ("include", "exclude") for what in ("names", "types", "tags")}


@dataclass(frozen=True, kw_only=True)
class Case:
    """``path`` begins with the name of a chain; ``body`` is sent as it is."""

    path: str
    what: str = ""
    method: str = "POST"
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    with_key: bool = True

    @property
    def name(self) -> str:
        method = "" if self.method == "POST" else f"{self.method} "
        return f"{method}{self.path}" + (f": {self.what}" if self.what else "")


def post(path: str, body: Any, what: str = "", **headers: str) -> Case:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Case(path=path, what=what, body=data, headers={"Content-Type": "application/json"} | headers)


def run(path: str, value: Any, what: str = "", **config: Any) -> Case:
    return post(path, {"input": value} | ({"config": config} if config else {}), what)


def get(path: str, method: str = "GET") -> Case:
    return Case(path=path, method=method)


# Every kind of chain on every endpoint.
INPUTS: dict[str, Any] = {
    "text": TOPIC,
    "message": {"topic": "two words"},
    "noted": TOPIC,
    "prompt": TOPIC,
    "model": "a text",
    "instructed": [{"type": "system", "content": "s"}, HI],
    "history": {"history": [HI, {"type": "ai", "content": "ho"}], "question": "why"},
    "parallel": "books",
    "anything": [1, {"type": "human", "content": "stays a dict"}],
    "library": "books",
    "tools": None,
    "breaks": "no",
    "awkward": "",
    "nothing": None,
    "values": "plain",
    "pair": {"left": 2},
    "configured": TOPIC,
    "alternatives": TOPIC,
}
ENDPOINTS = ["invoke", "stream", "stream_events", "stream_log"]

GOOD = [
    *(run(f"{name}/{endpoint}", value) for name, value in INPUTS.items() for endpoint in ENDPOINTS),
    *(post(f"{name}/batch", {"inputs": [value, value]}) for name, value in INPUTS.items()),
    *(get(f"{name}/{which}_schema") for name in INPUTS for which in ("input", "output", "config")),
]

VALUES = [
    *(run("values/invoke", kind, kind) for kind in ("time", "id", "model", "messages", "native", "secret")),
    *(run("values/stream", kind, kind) for kind in ("time", "messages", "native")),
    run("values/invoke", "set", "no JSON form"),
    run("values/stream", "set", "no JSON form"),
]

MESSAGES = [
    run("model/invoke", [HI], "a message"),
    run("model/invoke", {"messages": [HI], "type": "ChatPromptValueConcrete"}, "a prompt value"),
    run("model/invoke", {"text": "hi", "type": "StringPromptValue"}, "a text prompt value"),
    run("model/invoke", [{"type": "ai", "content": "a", "tool_calls": []}, HI], "ai, human"),
    run("model/invoke", [{"type": "tool", "content": "t", "tool_call_id": "c"}], "tool"),
    run("model/invoke", [{"type": "AIMessageChunk", "content": "piece"}], "a chunk"),
    run("model/invoke", [{"type": "system", "content": "s"}], "system"),
    run("model/invoke", [{"type": "function", "content": "f", "name": "f"}], "function"),
    run("model/invoke", [{"type": "chat", "content": "c", "role": "r"}], "chat"),
    run("model/invoke", [{"role": "user", "content": "r"}], "role"),
    run("model/invoke", [["human", "t"]], "tuple"),
    run("model/invoke", ["bare"], "bare text in a list"),
    run("model/invoke", [{"type": "tool", "content": "t"}], "tool without id"),
    run("model/invoke", [{"type": "human"}], "no content"),
    run("model/invoke", [{"type": "unknown", "content": "u"}], "unknown type"),
    run("model/invoke", [{"lc": 1, "type": "constructor", "id": ["a"], "kwargs": {}}], "native"),
    run("model/invoke", 3, "a number"),
    run("history/invoke", {"history": [{"type": "system", "content": "s"}], "question": "q"}, "system"),
    run("history/invoke", {"history": [["system", "s"]], "question": "q"}, "tuple"),
    run("history/invoke", {"history": "hi", "question": "q"}, "no list"),
    run("history/invoke", {"question": "q"}, "no history"),
    run("model/stream_events", [HI | {"evil": 1, "additional_kwargs": {"k": 1}}], "fields of its own"),
    run("model/stream_events", [{"type": "AIMessageChunk", "content": "piece"}, HI], "a chunk"),
    run("model/invoke", [{"type": "human", "content": [IMAGE]}], "an address to fetch"),
    run(
        "anything/invoke",
        [{"type": "human", "content": "x", "evil": 1}, {"lc": 1, "type": "secret", "id": ["CANARY_SECRET"]}],
        "plain data stays as it is",
    ),
]

INPUT_FAULTS = [
    *(run(f"text/{endpoint}", {}, "a variable lacks") for endpoint in ENDPOINTS),
    *(run(f"text/{endpoint}", "cats", "no object") for endpoint in ENDPOINTS),
    run("text/invoke", {"topic": 3}, "a number for a text"),
    run("text/invoke", {"topic": None}, "null for a text"),
    run("text/invoke", TOPIC | {"more": 1}, "a variable too many"),
    run("pair/invoke", {"left": "two"}, "a word for a number"),
    run("pair/invoke", {"left": "2", "right": 3.0}, "numbers in other forms"),
    run("pair/invoke", {"right": 1}, "a field lacks"),
    run("breaks/invoke", "before", "the chain fails"),
    run("breaks/stream", "before", "the chain fails at once"),
    run("breaks/stream", "after", "the chain fails after two pieces"),
    run("breaks/stream_events", "after", "the chain fails"),
    run("breaks/stream_log", "after", "the chain fails"),
    post("breaks/batch", {"inputs": ["no", "before"]}, "one fails"),
]

BODIES = [
    *(
        post(f"text/{endpoint}", body, what)
        for endpoint in ("invoke", "stream", "batch", "stream_events", "stream_log")
        for body, what in [
            (b"", "empty"),
            (b"{", "cut"),
            (b"[]", "an array"),
            (b"null", "null"),
            (b"{}", "no input"),
            (b'{"input": "\xff"}', "no UTF-8"),
        ]
    ),
    post("text/invoke", {"input": TOPIC, "kwargs": {"stop": ["x"]}, "more": 1}, "kwargs and unknown keys"),
    post("text/batch", {"inputs": [TOPIC], "kwargs": [{}]}, "kwargs as a list"),
    post("text/invoke", {"input": TOPIC, "config": 3}, "config a number"),
    post("text/invoke", {"input": TOPIC, "config": None}, "config null"),
    post("text/stream", {"input": TOPIC, "config": None}, "config null"),
    post("text/stream", {"input": TOPIC, "config": []}, "config a list"),
    post(
        "text/invoke",
        {"input": TOPIC},
        "sent as a form",
        **{"Content-Type": "application/x-www-form-urlencoded"},
    ),
    post("text/invoke", {"input": TOPIC}, "sent as text", **{"Content-Type": "text/plain"}),
    *(
        post(f"text/{endpoint}", {"input": TOPIC}, f"accepts {accept}", Accept=accept)
        for endpoint in ("invoke", "stream")
        for accept in ("text/event-stream", "text/html", "image/png")
    ),
]

BATCHES = [
    post("text/batch", {"inputs": []}, "an empty list"),
    post("text/batch", {"inputs": [TOPIC], "config": []}, "too few configs"),
    post("text/batch", {"inputs": [TOPIC, TOPIC], "config": [{}]}, "too few configs for two"),
    post("text/batch", {"inputs": [TOPIC, TOPIC], "config": [{}, {"tags": ["t"]}]}, "configs"),
    post("text/batch", {"inputs": [TOPIC], "config": [None]}, "a null among configs"),
    post("text/batch", {"inputs": [TOPIC], "config": [3]}, "a number among configs"),
    post("text/batch", {"inputs": [TOPIC], "config": None}, "config null"),
    post("text/batch", {"inputs": [TOPIC, {}]}, "one input is wrong"),
    post("text/batch", {"inputs": {}}, "inputs an object"),
    post("text/batch", {"inputs": None}, "inputs null"),
    post(
        "configured/batch",
        {"inputs": [TOPIC, TOPIC], "config": [{"configurable": {"prefix": p}} for p in "ab"]},
        "each its own",
    ),
    post(
        "configured/batch",
        {"inputs": [TOPIC, TOPIC], "config": {"configurable": {"prefix": "all "}}},
        "one for all",
    ),
]

CONFIGS = [
    *(run(f"configured/{e}", TOPIC, "chosen", configurable={"prefix": "so "}) for e in ENDPOINTS),
    run("configured/invoke", TOPIC, "unknown name", configurable={"prefix": "so ", "other": 1}),
    run("configured/invoke", TOPIC, "wrong type", configurable={"prefix": 3}),
    run("configured/invoke", TOPIC, "null", configurable={"prefix": None}),
    run("configured/invoke", TOPIC, "no object", configurable=3),
    run("configured/stream", TOPIC, "wrong type", configurable={"prefix": 3}),
    run("alternatives/invoke", TOPIC, "chosen", configurable={"voice": "loud"}),
    run("alternatives/invoke", TOPIC, "by its key", configurable={"voice": "plain"}),
    run("alternatives/invoke", TOPIC, "none such", configurable={"voice": "none"}),
    run("text/invoke", TOPIC, "no fields to choose", configurable={"prefix": "x"}),
    run("text/invoke", TOPIC, "no fields, and no object", configurable=3),
    run(
        "text/stream_events",
        TOPIC,
        "all that is dropped",
        tags=["mine"],
        metadata={"mine": 1, "__mine": 2},
        run_name="mine",
        recursion_limit=3,
        callbacks=[],
        unknown=1,
    ),
    run("text/invoke", TOPIC, "wrong types of what is dropped", tags=3, metadata=[], recursion_limit="x"),
    run("text/invoke", TOPIC, "a run id", run_id=f"{RUN_ID}1"),
    run("text/invoke", TOPIC, "no run id", run_id="three"),
    run("text/invoke", TOPIC, "camel case", recursionLimit=25, runName="x", maxConcurrency=1),
]

HASHES = [
    *(run(f"configured/c/{PREFIX_HASH}/{e}", TOPIC) for e in ("invoke", "stream")),
    post(f"configured/c/{PREFIX_HASH}/batch", {"inputs": [TOPIC], "config": [{}]}),
    run(f"configured/c/{PREFIX_HASH}/invoke", TOPIC, "the body wins", configurable={"prefix": "body "}),
    get(f"configured/c/{PREFIX_HASH}/config_schema"),
    run(f"configured/c/{WRONG_HASH}/invoke", TOPIC),
    run(f"text/c/{LIST_HASH}/invoke", TOPIC),
    *(run(f"text/c/{EMPTY_HASH}/{e}", TOPIC) for e in ENDPOINTS),
    post(f"text/c/{EMPTY_HASH}/batch", {"inputs": [TOPIC]}),
    *(get(f"text/c/{EMPTY_HASH}/{which}_schema") for which in ("input", "output", "config")),
    run("text/c/AAAA/invoke", TOPIC),
    run("text/c/!!!/invoke", TOPIC),
    run("text/c/N4/invoke", TOPIC),
    get("text/c/AAAA/input_schema"),
]

FILTERS = [
    post("text/stream_events", {"input": TOPIC, "include_types": ["chat_model"]}, "types"),
    post("text/stream_events", {"input": TOPIC, "include_names": ["Echo"]}, "names"),
    post("text/stream_events", {"input": TOPIC, "exclude_names": ["Echo"]}, "without names"),
    post("text/stream_events", {"input": TOPIC, "exclude_types": ["chain"]}, "without types"),
    post("text/stream_events", {"input": TOPIC, "include_tags": ["seq:step:2"]}, "tags"),
    post("text/stream_events", {"input": TOPIC, "exclude_tags": ["seq:step:2"]}, "without tags"),
    post("text/stream_events", {"input": TOPIC, **NULLS}, "nulls"),
    post("text/stream_events", {"input": TOPIC, "include_names": "Echo"}, "wrong type"),
    post("text/stream_events", {"input": TOPIC, "include_names": [3]}, "wrong type inside"),
    post("text/stream_log", {"input": TOPIC, "include_types": ["llm"]}, "types"),
    post("text/stream_log", {"input": TOPIC, "include_names": ["Echo"]}, "names"),
    post("text/stream_log", {"input": TOPIC, "exclude_names": ["Echo"]}, "without names"),
    post("text/stream_log", {"input": TOPIC, "include_tags": ["seq:step:2"]}, "tags"),
    post("text/stream_log", {"input": TOPIC, "exclude_tags": ["seq:step:2"]}, "without tags"),
    post("text/stream_log", {"input": TOPIC, "diff": True, **NULLS}, "nulls and diff"),
    post("text/stream_log", {"input": TOPIC, "diff": False}, "no diff"),
    post("text/stream_log", {"input": TOPIC, "include_names": "Echo"}, "wrong type"),
]

METHODS = [
    *(
        get(f"text/{endpoint}", method)
        for endpoint in ("invoke", "stream")
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
    ),
    *(get("text/input_schema", method) for method in ("POST", "HEAD", "OPTIONS")),
    run("text/invoke/", TOPIC),
    get("text/input_schema/"),
    run("text/nothing_such", TOPIC),
    run("no_such_chain/invoke", TOPIC),
    get("text/"),
    get("text"),
    get("text/feedback", "HEAD"),
    get("text/playground/"),
    post("text/token_feedback", {"token_or_url": "x"}),
    Case(path="text/invoke", what="without a key", body=b'{"input": {"topic": "cats"}}', with_key=False),
    Case(path="text/stream", what="without a key", body=b'{"input": {"topic": "cats"}}', with_key=False),
]

CASES: list[Case] = [
    *GOOD,
    *VALUES,
    *MESSAGES,
    *INPUT_FAULTS,
    *BODIES,
    *BATCHES,
    *CONFIGS,
    *HASHES,
    *FILTERS,
    *METHODS,
]
