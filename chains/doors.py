"""The table of doors (the ways to request a run), and the patterns of their addresses.

These definitions are the only ones. URLs, WebSocket routes, CORS, the short way for calls with a key, error
dialects, the switches of a chain and the records of runs all read them. Settings read them too, so this
module imports nothing that needs Django's app registry.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from chains.runtime.events import Mode
from chains.runtime.names import SLUG_PATTERN

Dialect = Literal["langserve", "api", "playground"]
"""The format of requests, answers and errors that a family of doors uses."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """One way to request a run.

    ``name`` is the last part of its address. ``source`` names it in records and metrics, ``label`` on pages.
    ``switch`` names the chain's switch that opens it; ``text`` describes that switch. ``takes_many``: one
    call sends several inputs. ``takes_short_way``: a call with a key passes only the middlewares that such a
    call needs.
    """

    name: str
    dialect: Dialect
    mode: Mode
    source: str
    label: str
    switch: str
    text: str = ""
    takes_many: bool = False
    takes_short_way: bool = False

    @property
    def shows_steps(self) -> bool:
        return self.mode in ("events", "log")


def _langserve(name: str, *, mode: Mode, source: str, text: str, takes_many: bool = False) -> Door:
    return Door(
        name=name,
        dialect="langserve",
        mode=mode,
        source=source,
        label=name,
        switch=name,
        text=text,
        takes_many=takes_many,
        takes_short_way=True,
    )


DOORS: dict[str, Door] = {
    door.name: door
    for door in (
        _langserve("invoke", mode="whole", source="rest", text="one input, one answer"),
        _langserve(
            "batch", mode="whole", source="batch", text="many inputs, all answers at once", takes_many=True
        ),
        _langserve("stream", mode="stream", source="sse", text="the answer while it is written"),
        _langserve("stream_events", mode="events", source="events", text="the answer and what is inside"),
        _langserve("stream_log", mode="log", source="log", text="the same as changes to a log"),
        Door(
            name="playground",
            dialect="playground",
            mode="stream",
            source="ws",
            label="playground",
            switch="playground",
            text="the page to try it on",
        ),
        # The same page in a browser without JavaScript.
        Door(
            name="playground_form",
            dialect="playground",
            mode="stream",
            source="form",
            label="playground, without a script",
            switch="playground",
        ),
    )
}
FURTHER_SWITCHES = {
    "input_schema": "what it takes",
    "output_schema": "what it answers",
    "config_schema": "what callers may choose",
    "feedback": "callers judge their runs",
}
"""The switches of a chain that open no door: name and description."""


def switches() -> dict[str, str]:
    """All switches of a chain: name and description."""
    return {door.switch: door.text for door in DOORS.values() if door.text} | FURTHER_SWITCHES


def source_choices() -> list[tuple[str, str]]:
    """The sources of runs as choices; a callable, so that a new door needs no migration."""
    return [(door.source, door.label) for door in DOORS.values()]


# --- Addresses ---------------------------------------------------------------------------------

_SLUG = SLUG_PATTERN.strip("^$")


class RefConverter:
    """Django's path converter ``<ref:ref>``: ``slug``, ``slug@label`` or ``slug@number``."""

    regex = rf"{_SLUG}(?:@{_SLUG})?"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


FOR_PROGRAMS = r"(?:api/|chains/(?![^/]*/playground/))"
"""Pattern of the paths that programs call, without the leading slash; playground pages are excluded."""


def paths_of(name: str) -> Iterator[str]:
    """The routes of LangServe's endpoint ``name``, without and with a config hash in the path."""
    yield f"chains/<ref:ref>/{name}"
    yield f"chains/<ref:ref>/c/<str:config_hash>/{name}"


def short_way() -> re.Pattern[str]:
    """Pattern of the paths that take the short way; it does not validate the ref, the URL routes do."""
    names = "|".join(re.escape(door.name) for door in DOORS.values() if door.takes_short_way)
    return re.compile(rf"/chains/[^/]+/(?:c/[^/]+/)?(?:{names})")


def dialect_of(path: str) -> Dialect | None:
    """The dialect of error responses at ``path``, which has no prefix; ``None`` for pages."""
    if path.startswith("/api/"):
        return "api"
    return "langserve" if re.match(f"/{FOR_PROGRAMS}", path) else None
