"""ChatOpenAI without the OpenAI SDK: sends the same requests over aiohttp and decodes the answers directly.

The SDK validates each request against its types and builds objects for every piece of a stream. Both cost
several times as much as the call itself. langchain-openai still builds the request and converts the answer
to messages. Wire format: OpenAI API reference, "Create chat completion" and "Streaming".
"""

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import aiohttp
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.prompt_values import ChatPromptValue
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr

from chains.runtime import errors
from chains.runtime.providers.reach import ProviderConfig
from concurrency.loops import per_loop

# More than any answer that is kept; the rest of a larger body is not read.
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 4 * 1024 * 1024
# Private methods of langchain-openai that are used here and may change in any release.
NEEDED = ("_get_request_payload", "_convert_chunk_to_generation_chunk", "_create_chat_result")

# Reading the system's certificates takes about 50 ms, so all clients share one context.
tls = cache(ssl.create_default_context)


class Refused(Exception):
    """A response with another status than 200."""

    def __init__(self, status: int, headers: Any, body: Any):
        super().__init__(status)
        self.status, self.headers = status, headers
        error = body.get("error") if isinstance(body, dict) else None
        self.code = error.get("code") if isinstance(error, dict) else None


async def _kept_session() -> AsyncGenerator[aiohttp.ClientSession, None]:
    """Yields one session, which is closed when the event loop shuts its async generators down."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls()),
        # No cookies, and no settings from the environment: a request sends only what its provider's record
        # says.
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        read_bufsize=2**18,
        max_line_size=2**16,
        max_field_size=2**16,
    ) as session:
        yield session


class _Sessions:
    """The session of one event loop, with its connection pool."""

    def __init__(self) -> None:
        self._keeper = _kept_session()
        self._session: aiohttp.ClientSession | None = None

    async def get(self) -> aiohttp.ClientSession:
        if self._session is None:
            # The generator never suspends before its first yield, so no concurrent call makes a second one.
            self._session = await anext(self._keeper)
        return self._session


_sessions = per_loop(_Sessions)


class DirectChatOpenAI(ChatOpenAI):
    """Sends its requests over the connection pool of the running event loop; call ``reach`` first."""

    _url: str = PrivateAttr()
    _headers: dict[str, str] = PrivateAttr()
    _timeout: aiohttp.ClientTimeout = PrivateAttr()

    def reach(self, provider: ProviderConfig, base_url: str) -> None:
        """Set the endpoint, the credential and the time limit for connecting.

        There is no limit for reading, because ``providers.calls`` limits the wait for each piece.
        """
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        key = provider.api_key.get_secret_value() or "none"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._timeout = aiohttp.ClientTimeout(total=None, connect=provider.connect_s)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        async with self._post(self._get_request_payload(_prompt(messages), stop=stop, **kwargs)) as response:
            return self._create_chat_result(await _json(response))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        payload = self._get_request_payload(
            _prompt(messages), stop=stop, stream=True, stream_options={"include_usage": True}, **kwargs
        )
        async with self._post(payload) as response:
            if "text/event-stream" not in response.headers.get("Content-Type", "text/event-stream"):
                raise errors.ProviderGarbage()
            async for data in _data_of(response.content):
                chunk = self._convert_chunk_to_generation_chunk(data, AIMessageChunk, None)
                if chunk is not None:
                    yield chunk

    @asynccontextmanager
    async def _post(self, payload: dict[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send the request and yield its response; raises Refused where the status is not 200."""
        body = {key: value for key, value in payload.items() if key != "extra_body" and value is not None}
        body.update(payload.get("extra_body") or {})
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        session = await _sessions().get()
        async with session.post(
            self._url, data=data, headers=self._headers, timeout=self._timeout, allow_redirects=False
        ) as response:
            if response.status != 200:
                raise Refused(response.status, response.headers, await _error_body(response))
            yield response


def _prompt(messages: list[BaseMessage]) -> ChatPromptValue:
    """The messages as langchain-openai's methods expect them; not validated, as that is done already."""
    return ChatPromptValue.model_construct(messages=messages)


async def _error_body(response: aiohttp.ClientResponse) -> Any:
    try:
        return await _json(response)
    except (ValueError, errors.ProviderError, aiohttp.ClientError):
        return None


async def _json(response: aiohttp.ClientResponse) -> Any:
    body = await response.content.read(MAX_BODY_BYTES + 1)
    pieces, size = [body], len(body)
    while body and size <= MAX_BODY_BYTES:
        body = await response.content.read(MAX_BODY_BYTES + 1)
        pieces.append(body)
        size += len(body)
    if size > MAX_BODY_BYTES:
        raise errors.OutputInvalid("The model's answer is longer than ChainHub keeps.")
    return json.loads(b"".join(pieces))


async def _data_of(content: aiohttp.StreamReader) -> AsyncIterator[Any]:
    """Yield the JSON object of each server-sent event before ``[DONE]``.

    Only ``data`` lines are read, one for each event, as OpenAI and compatible servers send them. Raises
    ProviderFailed for an error event, ProviderGarbage for data that is no object or too long.
    """
    rest = b""
    async for piece in content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise errors.ProviderGarbage()
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            text = line[5:].strip()
            if text == b"[DONE]":
                return
            data = json.loads(text)
            if not isinstance(data, dict):
                raise errors.ProviderGarbage()
            if data.get("error"):
                raise errors.ProviderFailed()
            yield data
