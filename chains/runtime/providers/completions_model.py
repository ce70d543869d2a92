"""Models behind OpenAI's API, for every kind of provider that speaks it: at an address, with headers.

langchain-openai writes the requests. Those for chat completions are sent over aiohttp (``openai_wire``).
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import Any

import openai
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import ChatPromptValue
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chains.runtime.providers import openai_wire
from chains.runtime.providers.habits import Habits, schema_in_prompt
from chains.runtime.providers.httpclients import client_for
from chains.runtime.providers.langchain import LangChainModel
from chains.runtime.providers.pieces import REST_S, Piece, as_text
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig

# A private method of langchain-openai that is used here and may change in any release.
NEEDED = ("_get_request_payload",)


def over_completions(
    target: PlanTarget, params: ModelParams, habits: Habits, *, url: str, headers: Mapping[str, str]
) -> "CompletionsModel":
    """The model that takes requests for chat completions at ``url``."""
    return CompletionsModel(
        request=_request(target, params, habits),
        endpoint=endpoint(target.provider, url, headers),
        params=params,
        habits=habits,
        splits_thinking=target.provider.splits_thinking,
    )


def endpoint(provider: ProviderConfig, url: str, headers: Mapping[str, str]) -> openai_wire.Endpoint:
    """An address at the provider; its record's further headers replace those given."""
    return openai_wire.Endpoint(
        url=url,
        headers={
            "Content-Type": "application/json",
            # Packing delays the pieces of a stream.
            "Accept-Encoding": "identity",
            **headers,
            **provider.headers,
        },
        connect_s=provider.connect_s,
        proxy=provider.proxy,
        ca_bundle=provider.ca_bundle,
        # Within the limit between pieces, which would take the complete answer away.
        rest_s=min(REST_S, provider.chunk_s / 2),
    )


@dataclass(frozen=True, kw_only=True)
class CompletionsModel:
    """Calls an endpoint for chat completions. ``request`` builds the body; it is never called itself."""

    request: ChatOpenAI
    endpoint: openai_wire.Endpoint
    params: ModelParams
    habits: Habits
    splits_thinking: bool

    def pieces(
        self, messages: list[BaseMessage], *, streaming: bool
    ) -> AsyncGenerator[Sequence[Piece], None]:
        body = self._body(messages, streaming=streaming)
        answer = self.endpoint.pieces(body, splits_thinking=self.splits_thinking)
        return _as_texts(answer) if self._asks_schema("tool") else answer

    def _body(self, messages: list[BaseMessage], *, streaming: bool) -> dict[str, Any]:
        # Not validated, as that is done already.
        prompt = ChatPromptValue.model_construct(messages=messages)
        payload = self.request._get_request_payload(prompt)
        body = {name: value for name, value in payload.items() if value is not None and name != "stream"}
        if streaming:
            body["stream"] = True
            if self.habits.usage_in_streams:
                body["stream_options"] = {"include_usage": True}
        if self.params.max_tokens:
            # ChatOpenAI sends only the newer name, which some servers do not know.
            body[self.habits.token_limit] = self.params.max_tokens
        if self.params.json_schema is not None:
            self._ask_for_schema(body, self.params.json_schema)
        return body

    def _ask_for_schema(self, body: dict[str, Any], schema: Mapping[str, Any]) -> None:
        name = self.params.name
        if self._asks_schema("json_schema"):
            # The SDK's own parsing of a response_format raises on answers that our parser should validate.
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}
        elif self._asks_schema("json_object"):
            body["response_format"] = {"type": "json_object"}
            body["messages"] = _with_system_text(body["messages"], schema_in_prompt(schema))
        else:
            function = {"name": name, "description": "Gives the answer.", "parameters": schema}
            body["tools"] = [{"type": "function", "function": function}]
            body["tool_choice"] = {"type": "function", "function": {"name": name}}

    def _asks_schema(self, mode: str) -> bool:
        return self.params.json_schema is not None and self.habits.json_schema == mode


async def _as_texts(
    answer: AsyncGenerator[Sequence[Piece], None],
) -> AsyncGenerator[Sequence[Piece], None]:
    async with aclosing(answer):
        async for pieces in answer:
            yield [as_text(piece) for piece in pieces]


def _with_system_text(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The messages with the text at the end of the system message; some servers take only one of these."""
    first, *others = messages
    if first["role"] in ("system", "developer") and isinstance(first["content"], str):
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *others]
    return [{"role": "system", "content": text}, *messages]


@cache
def _unused_clients() -> dict[str, Any]:
    """Passed so that ChatOpenAI does not create two clients for each model; our requests use none of them."""
    return {
        "http_client": openai.DefaultHttpxClient(trust_env=False, verify=openai_wire.tls("")),
        "http_async_client": openai.DefaultAsyncHttpxClient(trust_env=False, verify=openai_wire.tls("")),
    }


def _request(target: PlanTarget, params: ModelParams, habits: Habits) -> ChatOpenAI:
    return ChatOpenAI(
        model=target.model,
        # The SDK requires a key; our requests send the provider's own.
        api_key=SecretStr("none"),
        openai_proxy=None,
        max_retries=0,
        use_responses_api=False,
        **_unused_clients(),
        **params.sampling(habits),
    )


def over_responses(
    target: PlanTarget, params: ModelParams, habits: Habits, *, base_url: str, headers: Mapping[str, str]
) -> LangChainModel:
    """The model at ``/responses`` under ``base_url``, which some models are served by only.

    The OpenAI SDK sends the requests. ``headers`` replace its own.
    """
    provider = target.provider
    schema = None
    if params.json_schema is not None:
        schema = {"type": "json_schema", "name": params.name, "schema": params.json_schema}
    base, _, query = base_url.partition("?")
    model = ChatOpenAI(
        model=target.model,
        base_url=base,
        api_key=SecretStr(provider.api_key.get_secret_value() or "none"),
        default_headers={**headers, **provider.headers},
        default_query=dict(part.partition("=")[::2] for part in query.split("&") if part),
        openai_proxy=None,
        max_retries=0,
        use_responses_api=True,
        output_version="responses/v1",
        max_tokens=params.max_tokens,
        http_client=_unused_clients()["http_client"],
        http_async_client=client_for(provider),
        extra_body={"text": {"format": schema}} if schema else None,
        **params.sampling(habits),
    )
    return LangChainModel(
        model=model,
        splits_thinking=provider.splits_thinking,
        habits=habits,
        tells_its_end=True,
        finish_of=_why_it_ended,
    )


def _why_it_ended(metadata: Mapping[str, Any]) -> Any:
    """Source: OpenAI API reference, "The Response object", ``status`` and ``incomplete_details``."""
    details = metadata.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return reason or metadata.get("status")
