"""Models behind OpenAI's API, for every kind of provider that speaks it: at an address, with headers.

langchain-openai writes the requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import openai
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import ChatPromptValue
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chains.runtime.providers.completions import Chat
from chains.runtime.providers.endpoint import tls
from chains.runtime.providers.habits import Habits, schema_in_prompt
from chains.runtime.providers.reach import ModelParams, PlanTarget
from chains.runtime.providers.responses import Response
from chains.runtime.providers.wiremodel import WireModel, endpoint_at

# A private method of langchain-openai that is used here and may change in any release.
NEEDED = ("_get_request_payload",)


def over_completions(
    target: PlanTarget, params: ModelParams, habits: Habits, *, url: str, headers: Mapping[str, str]
) -> WireModel:
    """The model that takes requests for chat completions at ``url``."""
    writer = _writer(target, params, habits, use_responses_api=False)
    return WireModel(
        endpoint=endpoint_at(target.provider, url, headers),
        body=_CompletionsBody(writer=writer, params=params, habits=habits),
        answer=Chat,
        habits=habits,
        splits_thinking=target.provider.splits_thinking,
        answers_by_tool=params.json_schema is not None and habits.json_schema == "tool",
    )


def over_responses(
    target: PlanTarget, params: ModelParams, habits: Habits, *, url: str, headers: Mapping[str, str]
) -> WireModel:
    """The model that takes requests of ``/responses`` at ``url``, which some models are served by only."""
    writer = _writer(
        target,
        params,
        habits,
        use_responses_api=True,
        max_tokens=params.max_tokens,
        output_version="responses/v1",
    )
    return WireModel(
        endpoint=endpoint_at(target.provider, url, headers),
        body=_ResponsesBody(writer=writer, params=params),
        answer=Response,
        habits=habits,
        splits_thinking=target.provider.splits_thinking,
    )


def _writer(target: PlanTarget, params: ModelParams, habits: Habits, **how: Any) -> ChatOpenAI:
    """A model that writes requests; it is never called itself."""
    return ChatOpenAI(
        model=target.model,
        # The SDK requires a key; our requests send the provider's own.
        api_key=SecretStr("none"),
        openai_proxy=None,
        max_retries=0,
        **_unused_clients(),
        **how,
        **params.sampling(habits),
    )


@cache
def _unused_clients() -> dict[str, Any]:
    """Passed so that ChatOpenAI does not create two clients for each model; our requests use none of them."""
    return {
        "http_client": openai.DefaultHttpxClient(trust_env=False, verify=tls("")),
        "http_async_client": openai.DefaultAsyncHttpxClient(trust_env=False, verify=tls("")),
    }


def _payload(writer: ChatOpenAI, messages: list[BaseMessage], *, streaming: bool) -> dict[str, Any]:
    # Not validated, as that is done already.
    payload = writer._get_request_payload(ChatPromptValue.model_construct(messages=messages))
    body = {name: value for name, value in payload.items() if value is not None and name != "stream"}
    return body | ({"stream": True} if streaming else {})


@dataclass(frozen=True, kw_only=True)
class _CompletionsBody:
    writer: ChatOpenAI
    params: ModelParams
    habits: Habits

    def __call__(self, messages: list[BaseMessage], streaming: bool) -> dict[str, Any]:
        body = _payload(self.writer, messages, streaming=streaming)
        if streaming and self.habits.usage_in_streams:
            body["stream_options"] = {"include_usage": True}
        if self.params.max_tokens:
            # ChatOpenAI sends only the newer name, which some servers do not know.
            body[self.habits.token_limit] = self.params.max_tokens
        if self.params.json_schema is not None:
            self._ask_for_schema(body, self.params.json_schema)
        return body

    def _ask_for_schema(self, body: dict[str, Any], schema: Mapping[str, Any]) -> None:
        name, mode = self.params.name, self.habits.json_schema
        if mode == "json_schema":
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}
        elif mode == "json_object":
            body["response_format"] = {"type": "json_object"}
            body["messages"] = _with_system_text(body["messages"], schema_in_prompt(schema))
        else:
            function = {"name": name, "description": "Gives the answer.", "parameters": schema}
            body["tools"] = [{"type": "function", "function": function}]
            body["tool_choice"] = {"type": "function", "function": {"name": name}}


def _with_system_text(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The messages with the text at the end of the system message; some servers take only one of these."""
    first, *others = messages
    if first["role"] in ("system", "developer") and isinstance(first["content"], str):
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *others]
    return [{"role": "system", "content": text}, *messages]


@dataclass(frozen=True, kw_only=True)
class _ResponsesBody:
    writer: ChatOpenAI
    params: ModelParams

    def __call__(self, messages: list[BaseMessage], streaming: bool) -> dict[str, Any]:
        body = _payload(self.writer, messages, streaming=streaming)
        if self.params.json_schema is not None:
            schema = {"type": "json_schema", "name": self.params.name, "schema": self.params.json_schema}
            body["text"] = {**body.get("text", {}), "format": schema}
        return body
