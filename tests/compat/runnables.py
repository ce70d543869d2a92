"""The runnables that ChainHub and LangServe are both given."""

import asyncio
import datetime
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import (
    ConfigurableField,
    Runnable,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from pydantic import BaseModel, Field

CANARY = "CANARY of an inner failure"


class Echo(GenericFakeChatModel):
    """Says what it was asked last, after ``prefix``; a piece for each word."""

    messages: Iterator[AIMessage | str] = Field(default_factory=lambda: iter(()))
    prefix: str = ""

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Any:
        answer = AIMessage(f"{self.prefix}{messages[-1].content}")
        return GenericFakeChatModel(messages=iter([answer]))._generate(messages)


class Library(BaseRetriever):
    """Two documents about anything."""

    def _get_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        raise NotImplementedError

    async def _aget_relevant_documents(self, query: str, **kwargs: Any) -> list[Document]:
        return [Document(page_content=f"{query} {n}", metadata={"n": n}) for n in range(2)]


class Pair(BaseModel):
    """Two numbers."""

    left: int
    right: int = 1


async def tool_chunks(values: AsyncIterator[Any]) -> AsyncIterator[AIMessageChunk]:
    async for _ in values:
        pass
    for index, piece in enumerate(['{"a"', ": 1}"]):
        call = {"name": None if index else "add", "args": piece, "id": None if index else "c1", "index": 0}
        yield AIMessageChunk(content="", id="fixed", tool_call_chunks=[{**call, "type": "tool_call_chunk"}])


async def breaks(values: AsyncIterator[str]) -> AsyncIterator[str]:
    """Fails where the input says: ``before`` its pieces, ``after`` them, or not at all."""
    when = "".join([value async for value in values])
    if when == "before":
        raise RuntimeError(CANARY)
    yield "one "
    yield "two "
    yield "three"
    if when == "after":
        raise RuntimeError(CANARY)


async def slow(values: AsyncIterator[Any]) -> AsyncIterator[str]:
    async for _ in values:
        pass
    for _ in range(600):
        yield "tick "
        await asyncio.sleep(0.1)


async def awkward(values: AsyncIterator[str]) -> AsyncIterator[str]:
    """Separators that some clients take for the ends of lines."""
    async for _ in values:
        pass
    for piece in AWKWARD:
        yield piece


async def afterwards(value: str) -> str:
    """Late enough to be the second of two."""
    await asyncio.sleep(0.5)
    return value


async def nothing(values: AsyncIterator[Any]) -> AsyncIterator[str]:
    async for _ in values:
        pass
    for never in ():
        yield never


def values(kind: str) -> Any:
    """What has a JSON form of its own, and (``set``) what has none."""
    return {
        "plain": {"whole": 1, "part": 1.5, "nan": float("nan"), "none": None, "yes": True, "many": (1, [2])},
        "time": {"at": datetime.datetime(2026, 1, 2, 3, 4, 5), "on": datetime.date(2026, 1, 2)},
        "id": UUID(int=7),
        "model": Pair(left=1),
        "messages": [AIMessage("hi", id="fixed")],
        "native": {"lc": 1, "type": "constructor", "id": ["langchain", "Any"], "kwargs": {}},
        "secret": {"lc": 1, "type": "secret", "id": ["CANARY_SECRET"]},
        "native_message": AIMessage("", id="fixed", additional_kwargs={"a": {"lc": 1, "type": "secret"}}),
        "set": {1, 2},
    }[kind]


AWKWARD = ["a\u2028b", "c\u2029d", "e\x85f", "g\r\nh", "é漢🙂"]

prompt = ChatPromptTemplate.from_messages([("system", "You are kind."), ("human", "{topic}")])
chat = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])

RUNNABLES: dict[str, Runnable] = {
    "text": prompt | Echo() | StrOutputParser(),
    "message": prompt | Echo(),
    "noted": (prompt | Echo()).with_config(metadata={"__own": "stays inside", "shown": 1}, tags=["noted"]),
    "prompt": prompt,
    "model": Echo(),
    "instructed": Echo(),
    "history": chat | Echo() | StrOutputParser(),
    "parallel": RunnableParallel(found=Library(), asked=RunnableLambda(afterwards)),
    "anything": RunnablePassthrough(),
    "library": Library(),
    "tools": RunnableGenerator(tool_chunks),
    "breaks": RunnableGenerator(breaks),
    "slow": RunnableGenerator(slow),
    "awkward": RunnableGenerator(awkward),
    "nothing": RunnableGenerator(nothing),
    "values": RunnableLambda(values),
    "pair": RunnableLambda(lambda pair: pair["left"] + pair["right"]).with_types(input_type=Pair),
    "configured": prompt
    | Echo().configurable_fields(prefix=ConfigurableField(id="prefix", name="Prefix", annotation=str))
    | StrOutputParser(),
    "alternatives": prompt
    | Echo().configurable_alternatives(
        ConfigurableField(id="voice"), default_key="plain", loud=Echo(prefix="LOUD ")
    )
    | StrOutputParser(),
}
