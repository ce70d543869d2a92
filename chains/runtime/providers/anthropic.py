"""Providers of the kind ``anthropic``: Claude, or any endpoint that speaks Anthropic's Messages API.

Wire format: Anthropic API reference, "Messages", "Streaming messages", "Errors". langchain-anthropic writes
requests and reads answers; it is installed with ``requirements-anthropic.txt``.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import anthropic
from langchain_anthropic import ChatAnthropic
from langchain_anthropic.chat_models import _create_usage_metadata
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.outputs import ChatGenerationChunk
from pydantic import PrivateAttr, SecretStr

from chains.runtime import errors
from chains.runtime.errors import Told
from chains.runtime.providers.completions_model import endpoint
from chains.runtime.providers.failures import failed_connection, judged, retry_after_s, told_in
from chains.runtime.providers.habits import AUTO, Habits, schema_in_prompt
from chains.runtime.providers.httpclients import client_for
from chains.runtime.providers.langchain import LangChainModel
from chains.runtime.providers.pieces import ChatModel
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig

# Private parts of langchain-anthropic and of the SDK that are used here and may change in any release.
NEEDED = ("_async_client", "_astream", "_get_request_payload", "_make_message_chunk_from_anthropic_event")
NEEDED_OF_CLIENT = ("_custom_headers",)
# The API requires a limit. It is the model's own, as far as langchain-anthropic knows it, and not more than
# an answer needs.
MAX_TOKENS = 32_000
MAX_TOKENS_OF_UNKNOWN = 8_192
# What a pasted address may have behind the part that the SDK begins with.
PASTED_PATH = re.compile(r"(/v1)?(/messages)?/*$")
API_VERSION = "2023-06-01"
READ_AT_START = "usage_at_start"


def build(target: PlanTarget, params: ModelParams) -> ChatModel:
    provider = target.provider
    habits = target.habits_at(provider.base_url)
    base_url, _, query = provider.base_url.partition("?")
    model = Claude(
        model=target.model,
        max_tokens=params.max_tokens,
        base_url=PASTED_PATH.sub("", base_url.rstrip("/")),
        api_key=SecretStr(provider.api_key.get_secret_value() or "none"),
        max_retries=0,
        **_sampling(params, habits),
    )
    model._provider, model._query = provider, dict(parse_qsl(query))
    if params.max_tokens is None:
        model.max_tokens = _usual_max_tokens(model)
    if params.json_schema is not None:
        habits = replace(habits, json_schema=_schema_mode(model, target, habits))
        _ask_for_schema(model, habits.json_schema, params.name, params.json_schema)
    return LangChainModel(
        model=model,
        splits_thinking=provider.splits_thinking,
        habits=habits,
        tells_its_end=True,
        answers_by_tool=params.json_schema is not None and habits.json_schema == "tool",
    )


def _sampling(params: ModelParams, habits: Habits) -> dict[str, Any]:
    given = params.sampling(habits)
    if isinstance(given.get("stop"), str):
        given["stop"] = [given["stop"]]
    tier = given.pop("service_tier", None)
    return given | ({"model_kwargs": {"service_tier": tier}} if tier else {})


def _usual_max_tokens(model: ChatAnthropic) -> int:
    """The limit where the step sets none; what the model may think before its answer comes on top."""
    most = (model.profile or {}).get("max_output_tokens") or MAX_TOKENS_OF_UNKNOWN
    budget = (model.thinking or {}).get("budget_tokens", 0)
    return min(most, MAX_TOKENS + (budget if isinstance(budget, int) else 0))


async def models(provider: ProviderConfig) -> list[str]:
    """The names in the provider's list of models; raises ProviderError, and aiohttp's exceptions."""
    base, question, query = provider.base_url.partition("?")
    key = provider.api_key.get_secret_value()
    headers = {"anthropic-version": API_VERSION, **({"x-api-key": key} if key else {})}
    url = f"{PASTED_PATH.sub('', base.rstrip('/'))}/v1/models{question}{query}"
    return await endpoint(provider, url, headers).models()


# --- Answers by a JSON Schema ------------------------------------------------------------------


def _schema_mode(model: ChatAnthropic, target: PlanTarget, habits: Habits) -> str:
    """How this model is asked for JSON: as the record says it or a refusal taught it, else by the model.

    Newer models take a schema and refuse to be forced to call a tool; older ones, and most servers that only
    speak the same format, know nothing but tools. A model that thinks cannot be forced either.
    """
    if target.provider.habits.get("json_schema", AUTO) != AUTO or "json_schema" in target.learned:
        return habits.json_schema
    profile = model.profile or {}
    is_new = "claude" in model.model and not profile
    takes_schema = is_new or bool(profile.get("structured_output"))
    return "json_schema" if takes_schema or model.thinking else "tool"


def _ask_for_schema(model: "Claude", mode: str, name: str, schema: Mapping[str, Any]) -> None:
    if mode == "json_schema":
        answer = {"type": "json_schema", "schema": anthropic.transform_schema(dict(schema))}
        model.output_config = {"format": answer}
    elif mode == "json_object":
        model._system = schema_in_prompt(schema)
    else:
        tool = {"name": name, "description": "Gives the answer.", "input_schema": schema}
        choice = {"type": "tool", "name": name}
        model.model_kwargs = {**model.model_kwargs, "tools": [tool], "tool_choice": choice}


# --- Reaching the endpoint ---------------------------------------------------------------------


class Claude(ChatAnthropic):
    """ChatAnthropic with a provider's own connection, and with nothing from the environment."""

    _provider: ProviderConfig = PrivateAttr()
    _query: dict[str, str] = PrivateAttr(default_factory=dict)
    # What is added to the system message.
    _system: str = PrivateAttr("")

    @cached_property
    def _async_client(self) -> anthropic.AsyncAnthropic:
        provider = self._provider
        headers = dict(provider.headers)
        client = anthropic.AsyncAnthropic(
            api_key=self.anthropic_api_key.get_secret_value(),
            base_url=self.anthropic_api_url,
            max_retries=0,
            default_headers=headers,
            default_query=self._query,
            open_telemetry=False,
            http_client=client_for(provider),
            timeout=anthropic.Timeout(None, connect=provider.connect_s),
        )
        # The SDK adds the headers of an environment variable.
        client._custom_headers = headers
        return client

    def _get_request_payload(self, input_: Any, **kwargs: Any) -> dict[str, Any]:
        """Raises ProviderRefused for what langchain-anthropic refuses to send, as if the API had done so."""
        try:
            payload: dict[str, Any] = super()._get_request_payload(input_, **kwargs)
        except ValueError as error:
            raise judged(Told(status=400, type="invalid_request_error", message=str(error)[:500])) from error
        if self._system:
            payload["system"] = _with_text(payload.get("system"), self._system)
        return payload

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        """Count what was read by the first event where the last one does not tell it."""
        read: UsageMetadata | None = None
        async with aclosing(super()._astream(*args, **kwargs)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                message: Any = chunk.message
                read = message.response_metadata.pop(READ_AT_START, read)
                used = getattr(message, "usage_metadata", None)
                if used and not used["input_tokens"] and read:
                    message.usage_metadata = add_usage(used, read)
                yield chunk

    def _make_message_chunk_from_anthropic_event(self, event: Any, **kwargs: Any) -> Any:
        chunk, block = super()._make_message_chunk_from_anthropic_event(event, **kwargs)
        if event.type == "message_start" and chunk is not None:
            read = _create_usage_metadata(event.message.usage)
            chunk.response_metadata[READ_AT_START] = {**read, "output_tokens": 0, "output_token_details": {}}
        return chunk, block


def _with_text(system: Any, text: str) -> Any:
    """The system message, a text or a list of blocks, with the text at its end."""
    if isinstance(system, list):
        return [*system, {"type": "text", "text": text}]
    return f"{system}\n\n{text}" if system else text


# --- Failures ----------------------------------------------------------------------------------


def translate(error: Exception) -> errors.ProviderError:
    """The ProviderError for an exception of the SDK, of its HTTP library, or of reading an answer."""
    if isinstance(error, anthropic.APIStatusError):
        # An error event inside a stream has the status of the answer that it broke off.
        status = None if 200 <= error.status_code < 300 else error.status_code
        told = told_in(error.body or str(error), status)
        return judged(told, retry_after_s=retry_after_s(error.response.headers))
    if isinstance(error, anthropic.APITimeoutError | TimeoutError):
        return errors.ProviderTimeout()
    if found := failed_connection(error):
        return found
    if isinstance(error, anthropic.APIConnectionError):
        return errors.ProviderUnreachable()
    return errors.ProviderGarbage()
