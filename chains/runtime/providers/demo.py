"""Providers of the kind ``demo``: a deterministic model that needs no key and no network."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import agenerate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import Field

from chains.runtime import errors
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig

MODELS = ("demo-coach", "demo-echo")
COACH = """\
Great to hear from you! You said: "{question}" - that is a fine place to start. \
Here is a simple plan that you can begin today.

1. Warm up for five minutes: walk on the spot and circle your arms.
2. Do three rounds of ten squats, ten wall push-ups and a thirty-second plank.
3. Rest for one minute between rounds, and drink some water.
4. Stretch for five minutes, slowly, and breathe out as you reach.

Do this three times a week, and write down how you felt. Small steps count. You can do it!"""

Failure = Literal["auth", "cut", "failed", "garbage", "rate_limited", "refused", "silent", "unreachable"]

FAILURES: dict[str, type[errors.ProviderError]] = {
    "auth": errors.ProviderAuthFailed,
    "cut": errors.ProviderCut,
    "failed": errors.ProviderFailed,
    "garbage": errors.ProviderGarbage,
    "rate_limited": errors.ProviderRateLimited,
    "refused": errors.ProviderRefused,
    "unreachable": errors.ProviderUnreachable,
}


class DemoChatModel(BaseChatModel):
    """Answers like a fitness coach, or with ``reply``, or by repeating the question (model ``demo-echo``).

    The model waits ``delay_ms`` before each word. ``words`` repeats or cuts the answer to that many words.
    ``fail`` is the kind of failure after ``fail_after`` words. With ``json_schema`` the answer is the
    schema's smallest instance. A word counts as a token.
    """

    model: str = "demo-coach"
    reply: str | None = None
    delay_ms: int = Field(default=30, ge=0, le=60_000)
    words: int | None = Field(default=None, ge=0, le=100_000)
    fail: Failure | None = None
    fail_after: int = Field(default=0, ge=0)
    json_schema: dict[str, Any] | None = None
    max_tokens: int | None = None

    @property
    def _llm_type(self) -> str:
        return "demo"

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        pieces = self._answer(messages)
        whole = len(pieces)
        pieces = pieces[: self.max_tokens]
        for index, piece in enumerate(pieces):
            await asyncio.sleep(self.delay_ms / 1000)
            if self.fail and index == self.fail_after:
                await self._fail()
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        if self.fail and self.fail_after >= len(pieces):
            await self._fail()
        read = sum(len(str(message.content).split()) for message in messages)
        usage = UsageMetadata(input_tokens=read, output_tokens=len(pieces), total_tokens=read + len(pieces))
        finish_reason = "length" if len(pieces) < whole else "stop"
        yield ChatGenerationChunk(
            message=AIMessageChunk(content="", usage_metadata=usage),
            generation_info={"finish_reason": finish_reason, "model_name": self.model},
        )

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, **kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return asyncio.run(self._agenerate(messages, stop, **kwargs))

    def _answer(self, messages: list[BaseMessage]) -> list[str]:
        asked = [str(message.content) for message in messages if message.type == "human"]
        question = asked[-1] if asked else ""
        if self.reply is not None:
            text = self.reply
        elif self.json_schema is not None:
            text = json.dumps(smallest_instance(self.json_schema))
        else:
            text = question if self.model == "demo-echo" else COACH.format(question=question)
        pieces = re.findall(r"\s*\S+|\s+\Z", text) or [text]
        if self.words is not None:
            pieces = [pieces[i % len(pieces)] for i in range(self.words)]
        return pieces

    async def _fail(self) -> None:
        if self.fail == "silent":
            await asyncio.Event().wait()
        raise FAILURES[self.fail or "failed"]()


def smallest_instance(schema: dict[str, Any]) -> Any:
    """A small value that satisfies a simple JSON Schema: the answer of the demo model."""
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: smallest_instance(inner) for name, inner in properties.items()}
    if kind == "array":
        item = smallest_instance(schema.get("items", {"type": "string"}))
        return [item] * min(schema.get("minItems", 0), 100)
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return {"boolean": False, "null": None}.get(kind, "demo")


def build(target: PlanTarget, params: ModelParams) -> BaseChatModel:
    return DemoChatModel(
        model=target.model,
        max_tokens=params.max_tokens,
        json_schema=params.json_schema,
        **params.extra,
    )


async def models(provider: ProviderConfig) -> list[str]:
    return list(MODELS)


def translate(error: Exception) -> errors.ProviderError:
    return errors.ProviderFailed()
