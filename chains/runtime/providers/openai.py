"""Providers of the kind ``openai``: any endpoint that speaks OpenAI's chat completions."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import openai
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import ChatPromptValue
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.providers import openai_wire
from chains.runtime.providers.failures import judged, retry_after_s, told_in
from chains.runtime.providers.habits import NEWER_NAME_HOSTS, Habits
from chains.runtime.providers.langchain import LangChainModel
from chains.runtime.providers.pieces import ChatModel, Piece
from chains.runtime.providers.reach import ModelParams, PlanTarget, ProviderConfig

OPENAI_BASE_URL = "https://api.openai.com/v1"
# A private method of langchain-openai that is used here and may change in any release.
NEEDED = ("_get_request_payload",)
# Names of httpx's exceptions for a connection that ended in the middle of an answer.
CUT_SHORT = frozenset({"ReadError", "RemoteProtocolError"})
SCHEMA_IN_PROMPT = "Answer with one JSON object and nothing else. It must fit this JSON Schema:\n"


def build(target: PlanTarget, params: ModelParams) -> ChatModel:
    provider = target.provider
    base_url = provider.base_url or OPENAI_BASE_URL
    habits = target.habits_at(base_url)
    if habits.api == "responses":
        return _over_responses(target, params, habits, base_url)
    return CompletionsModel(
        request=_request(target, params, habits),
        endpoint=_endpoint(provider, base_url, "chat/completions"),
        params=params,
        habits=habits,
        splits_thinking=provider.splits_thinking,
    )


async def models(provider: ProviderConfig) -> list[str]:
    """The names in the provider's list of models; raises ProviderError, and aiohttp's exceptions."""
    endpoint = _endpoint(provider, provider.base_url or OPENAI_BASE_URL, "models")
    return _names(await endpoint.value())


def _names(listed: Any) -> list[str]:
    """The names in a list of models, which not all servers put under OpenAI's name ``data``."""
    if isinstance(listed, dict):
        listed = listed.get("data") or listed.get("models")
    if not isinstance(listed, list):
        raise errors.ProviderGarbage()
    named = (item.get("id") or item.get("name") if isinstance(item, dict) else item for item in listed)
    return [name for name in named if isinstance(name, str) and name]


@dataclass(frozen=True, kw_only=True)
class CompletionsModel:
    """Calls an endpoint for chat completions. ``request`` builds the body; it is never called itself."""

    request: ChatOpenAI
    endpoint: openai_wire.Endpoint
    params: ModelParams
    habits: Habits
    splits_thinking: bool

    async def pieces(
        self, messages: list[BaseMessage], *, streaming: bool
    ) -> AsyncGenerator[Sequence[Piece], None]:
        body = self._body(messages, streaming=streaming)
        answer = self.endpoint.pieces(body, splits_thinking=self.splits_thinking)
        by_tool = self._asks_schema("tool")
        async with aclosing(answer):
            async for pieces in answer:
                yield [_as_text(piece) for piece in pieces] if by_tool else pieces

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
            text = SCHEMA_IN_PROMPT + json.dumps(schema, ensure_ascii=False)
            body["messages"] = _with_system_text(body["messages"], text)
        else:
            function = {"name": name, "description": "Gives the answer.", "parameters": schema}
            body["tools"] = [{"type": "function", "function": function}]
            body["tool_choice"] = {"type": "function", "function": {"name": name}}

    def _asks_schema(self, mode: str) -> bool:
        return self.params.json_schema is not None and self.habits.json_schema == mode


def _with_system_text(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The messages with the text at the end of the system message; some servers take only one of these."""
    first, *others = messages
    if first["role"] in ("system", "developer") and isinstance(first["content"], str):
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *others]
    return [{"role": "system", "content": text}, *messages]


def _as_text(piece: Piece) -> Piece:
    """The arguments of the tool that gives the answer are the answer's text."""
    arguments = "".join(call["args"] or "" for call in piece.tool_calls)
    if piece.end is not None or not arguments:
        return piece
    return Piece(text=piece.text + arguments, reasoning=piece.reasoning)


# --- Reaching the endpoint ---------------------------------------------------------------------


def address(base_url: str, path: str) -> str:
    """The address of ``path`` under an endpoint, whose query stays at the end."""
    base, question, query = base_url.partition("?")
    return f"{base.rstrip('/')}/{path}{question}{query}"


def _endpoint(provider: ProviderConfig, base_url: str, path: str) -> openai_wire.Endpoint:
    return openai_wire.Endpoint(
        url=address(base_url, path),
        headers=_headers(provider, base_url),
        connect_s=provider.connect_s,
        proxy=provider.proxy,
        ca_bundle=provider.ca_bundle,
    )


def _headers(provider: ProviderConfig, base_url: str) -> dict[str, str]:
    key = provider.api_key.get_secret_value() or "none"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    if is_azure(base_url):
        headers["api-key"] = key
    return {**headers, **provider.headers}


def is_azure(base_url: str) -> bool:
    """Whether the host is one of Azure's, which take a key in a header of its own."""
    host = urlsplit(base_url).hostname or ""
    return bool(NEWER_NAME_HOSTS.search(host)) and not host.endswith("openai.com")


@cache
def _unused_clients() -> dict[str, Any]:
    """Passed so that ChatOpenAI does not create two clients for each model; our requests use none of them."""
    return {
        "http_client": openai.DefaultHttpxClient(trust_env=False, verify=openai_wire.tls("")),
        "http_async_client": openai.DefaultAsyncHttpxClient(trust_env=False, verify=openai_wire.tls("")),
    }


def _request(target: PlanTarget, params: ModelParams, habits: Habits) -> ChatOpenAI:
    sampling = {"temperature": params.temperature, **params.extra}
    return ChatOpenAI(
        model=target.model,
        # The SDK requires a key; our requests send the provider's own.
        api_key=SecretStr("none"),
        openai_proxy=None,
        max_retries=0,
        use_responses_api=False,
        **_unused_clients(),
        **{name: value for name, value in sampling.items() if name not in habits.left_out},
    )


def _over_responses(target: PlanTarget, params: ModelParams, habits: Habits, base_url: str) -> ChatModel:
    """For models that are served by ``/responses`` only: through the OpenAI SDK."""
    provider = target.provider
    sampling = {"temperature": params.temperature, **params.extra}
    schema = None
    if params.json_schema is not None:
        schema = {"type": "json_schema", "name": params.name, "schema": params.json_schema}
    base, _, query = base_url.partition("?")
    client = openai.DefaultAsyncHttpxClient(
        trust_env=False,
        verify=openai_wire.tls(provider.ca_bundle),
        proxy=provider.proxy or None,
        timeout=openai.Timeout(None, connect=provider.connect_s),
        follow_redirects=False,
    )
    model = ChatOpenAI(
        model=target.model,
        base_url=base,
        api_key=SecretStr(provider.api_key.get_secret_value() or "none"),
        default_headers={**_headers(provider, base_url)},
        default_query=dict(part.partition("=")[::2] for part in query.split("&") if part),
        openai_proxy=None,
        max_retries=0,
        use_responses_api=True,
        output_version="responses/v1",
        max_tokens=params.max_tokens,
        http_client=_unused_clients()["http_client"],
        http_async_client=client,
        extra_body={"text": {"format": schema}} if schema else None,
        **{name: value for name, value in sampling.items() if name not in habits.left_out},
    )
    return LangChainModel(model=model, splits_thinking=provider.splits_thinking)


# --- Failures ----------------------------------------------------------------------------------


def translate(error: Exception) -> errors.ProviderError:
    """The ProviderError for an exception of the SDK, of aiohttp, or of decoding an answer.

    Any other exception of a model call is the provider's fault too: json.JSONDecodeError for garbage in a
    stream, a plain ValueError for an HTML page.
    """
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return errors.ProviderTimeout()
    if isinstance(error, openai.APIStatusError):
        headers = error.response.headers
        return judged(told_in(error.body, error.status_code), retry_after_s=retry_after_s(headers))
    if isinstance(error, aiohttp.ClientConnectorError):
        return errors.ProviderUnreachable()
    if isinstance(
        error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | aiohttp.ClientOSError
    ):
        return errors.ProviderCut()
    if isinstance(error, openai.APIResponseValidationError | json.JSONDecodeError):
        return errors.ProviderGarbage()
    if isinstance(error, openai.APIConnectionError):
        # Compared by name, because the HTTP library is an internal choice of the SDK.
        causes = {type(cause).__name__ for cause in _causes(error)}
        return errors.ProviderCut() if causes & CUT_SHORT else errors.ProviderUnreachable()
    if isinstance(error, openai.APIError):
        # An error event inside a stream.
        return judged(told_in(error.body or str(error)))
    if type(error) is ValueError and error.args and isinstance(error.args[0], dict):
        # An error object in place of a complete answer: langchain-openai raises it as a ValueError.
        return judged(told_in(error.args[0]))
    return errors.ProviderGarbage()


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
