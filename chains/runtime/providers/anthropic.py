"""Providers of the kind ``anthropic``: Claude, or any endpoint that speaks Anthropic's Messages API.

Wire format: Anthropic API reference, "Messages", "Errors"; ``messages`` reads the answers.
langchain-anthropic writes requests; it is installed with ``requirements-anthropic.txt``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import anthropic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import ChatPromptValue
from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.providers.endpoint import Endpoint, failed_request
from chains.runtime.providers.failures import failed_connection, judged, retry_after_s, told_in
from chains.runtime.providers.habits import AUTO, Habits, schema_in_prompt
from chains.runtime.providers.messages import Message
from chains.runtime.providers.pieces import ChatModel
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig
from chains.runtime.providers.wiremodel import WireModel, endpoint_at

# A private method of langchain-anthropic that is used here and may change in any release.
NEEDED = ("_get_request_payload",)
# The API requires a limit. It is the model's own, as far as langchain-anthropic knows it, and not more than
# an answer needs.
MAX_TOKENS = 32_000
MAX_TOKENS_OF_UNKNOWN = 8_192
# What a pasted address may have behind its base.
PASTED_PATH = re.compile(r"(/v1)?(/messages)?/*$")
API_VERSION = "2023-06-01"


def build(target: PlanTarget, params: ModelParams) -> ChatModel:
    provider = target.provider
    habits = target.habits_at(provider.base_url)
    writer = ChatAnthropic(
        model=target.model,
        max_tokens=params.max_tokens,
        base_url=PASTED_PATH.sub("", provider.base_url.partition("?")[0].rstrip("/")),
        api_key=SecretStr("none"),
        max_retries=0,
        **_sampling(params, habits),
    )
    if params.max_tokens is None:
        writer.max_tokens = _usual_max_tokens(writer)
    system = ""
    if params.json_schema is not None:
        habits = replace(habits, json_schema=_schema_mode(writer, target, habits))
        system = _ask_for_schema(writer, habits.json_schema, params.name, params.json_schema)
    return WireModel(
        endpoint=_endpoint(provider, "messages"),
        body=_Body(writer=writer, system=system),
        answer=Message,
        habits=habits,
        splits_thinking=provider.splits_thinking,
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
    return await _endpoint(provider, "models").models()


def _endpoint(provider: ProviderConfig, path: str) -> Endpoint:
    base, question, query = provider.base_url.partition("?")
    key = provider.api_key.get_secret_value()
    headers = {"anthropic-version": API_VERSION, **({"x-api-key": key} if key else {})}
    url = f"{PASTED_PATH.sub('', base.rstrip('/'))}/v1/{path}{question}{query}"
    return endpoint_at(provider, url, headers)


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


def _ask_for_schema(writer: ChatAnthropic, mode: str, name: str, schema: Mapping[str, Any]) -> str:
    """Make the writer ask for JSON that fits; returns what the system message has to say of it."""
    if mode == "json_object":
        return schema_in_prompt(schema)
    if mode == "json_schema":
        answer = {"type": "json_schema", "schema": anthropic.transform_schema(dict(schema))}
        writer.output_config = {"format": answer}
    else:
        tool = {"name": name, "description": "Gives the answer.", "input_schema": schema}
        choice = {"type": "tool", "name": name}
        writer.model_kwargs = {**writer.model_kwargs, "tools": [tool], "tool_choice": choice}
    return ""


# --- Requests ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Body:
    """Writes the body of a request; ``system`` is added to its system message."""

    writer: ChatAnthropic
    system: str

    def __call__(self, messages: list[BaseMessage], streaming: bool) -> dict[str, Any]:
        prompt = ChatPromptValue.model_construct(messages=messages)
        payload: dict[str, Any] = self.writer._get_request_payload(prompt)
        if self.system:
            payload["system"] = _with_text(payload.get("system"), self.system)
        more = payload.pop("extra_body", None) or {}
        body = {name: value for name, value in payload.items() if value is not None}
        return body | more | ({"stream": True} if streaming else {})


def _with_text(system: Any, text: str) -> Any:
    """The system message, a text or a list of blocks, with the text at its end."""
    if isinstance(system, list):
        return [*system, {"type": "text", "text": text}]
    return f"{system}\n\n{text}" if system else text


# --- Failures ----------------------------------------------------------------------------------


def translate(error: Exception) -> errors.ProviderError:
    """The ProviderError for an exception of aiohttp, or of the SDK, which chains in code may use."""
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
    return failed_request(error)
