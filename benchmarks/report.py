"""Writes RESULTS.md: the figures with the versions and the date."""

import datetime
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMED = ("django", "daphne", "twisted", "uvloop", "langchain-core", "langchain-openai", "openai", "psycopg")
NAMED_PEER = ("langserve", "fastapi", "uvicorn", "uvloop", "langchain-core", "langchain-openai", "openai")
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->\n"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table. ``ratio`` has the median of the pairs, the smallest and the largest."""

    name: str
    must: str
    aim: str
    ours: str
    theirs: str
    ratio: str = ""


def write(rows: list[Row], rounds: int) -> None:
    """Replace the figures; the text around them stays."""
    path = HERE / "RESULTS.md"
    table = ["| figure | must | aim | ChainHub | LangServe | ratio |", "|---|---|---|---|---|---|"]
    table += [f"| {r.name} | {r.must} | {r.aim} | {r.ours} | {r.theirs} | {r.ratio} |" for r in rows]
    made = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores ({cpu_model()}), {rounds} pairs for each ratio.",
        "",
        *table,
        "",
        f"ChainHub: {versions(HERE.parent / 'requirements.txt', NAMED)}, commit {commit()}.  ",
        f"LangServe: {versions(HERE / 'requirements.txt', NAMED_PEER)}.",
    ]
    text = path.read_text() if path.exists() else f"# Results\n\n{BEGIN}{END}"
    before, _, rest = text.partition(BEGIN)
    path.write_text(before + BEGIN + "\n".join(made) + "\n" + END + rest.partition(END)[2])


def versions(lock: Path, names: tuple[str, ...]) -> str:
    found = dict(re.findall(r"^([a-z0-9-]+)==([^ \\]+)", lock.read_text(), re.MULTILINE))
    return ", ".join(f"{name} {found[name]}" for name in names if name in found)


def commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()


def cpu_model() -> str:
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()
