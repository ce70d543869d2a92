"""Sends requests for chat completions over aiohttp, and reads the answers as they come.

The OpenAI SDK validates each request against its types and builds objects for every piece of a stream. Both
cost several times as much as the call itself.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import aiohttp

from chains.runtime.errors import ProviderGarbage
from chains.runtime.providers.completions import AnswerReader
from chains.runtime.providers.failures import failure_in, judged, retry_after_s, told_in
from chains.runtime.providers.pieces import REST_S, Piece
from chains.runtime.providers.reach import trusting
from chains.runtime.providers.sse import NotJSON, decoded
from concurrency.loops import per_loop

MAX_REFUSAL_BYTES = 64 * 1024
# More than any list of models; OpenRouter's has half a megabyte.
MAX_VALUE_BYTES = 4 * 1024 * 1024


@cache
def tls(ca_bundle: str) -> ssl.SSLContext:
    """The context for a provider's certificates in PEM form; "" for the system's.

    Reading the system's certificates takes about 50 ms, so all clients share one context.
    """
    return trusting(ca_bundle)


async def _kept_session() -> AsyncGenerator[aiohttp.ClientSession, None]:
    """Yields one session, which is closed when the event loop shuts its async generators down."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls("")),
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


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An address of a provider. ``connect_s`` limits the time for connecting.

    There is no limit for reading, because ``providers.calls`` limits the wait for each piece. ``proxy`` and
    ``ca_bundle`` as in ``ProviderConfig``. ``rest_s`` limits the wait for what follows a complete answer.
    """

    url: str
    headers: Mapping[str, str]
    connect_s: float
    proxy: str = ""
    ca_bundle: str = ""
    rest_s: float = REST_S

    async def pieces(
        self, body: Mapping[str, Any], *, splits_thinking: bool
    ) -> AsyncGenerator[Sequence[Piece], None]:
        """Send the body and yield the pieces of the answer, those of one read together.

        Raises ProviderError, and aiohttp's exceptions.
        """
        reader = AnswerReader(splits_thinking)
        async with self._post(body) as response:
            async for data in _reads(response, reader, self.rest_s):
                if pieces := reader.add(data):
                    yield pieces
                if reader.fault:
                    raise reader.fault
                if reader.is_over:
                    break
        if pieces := reader.finish():
            yield pieces
        if reader.fault:
            raise reader.fault

    async def value(self) -> Any:
        """Get the address and return the JSON value there; raises ProviderError, and aiohttp's exceptions."""
        data = b""
        async with self._request("GET") as response:
            async for more in response.content.iter_any():
                data += more
                if len(data) > MAX_VALUE_BYTES:
                    raise ProviderGarbage()
        try:
            value = decoded(data)
        except NotJSON:
            raise ProviderGarbage() from None
        if told := failure_in(value):
            raise judged(told)
        return value

    def _post(self, body: Mapping[str, Any]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        return self._request("POST", data)

    @asynccontextmanager
    async def _request(self, method: str, data: bytes | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
        session = await _sessions().get()
        timeout = aiohttp.ClientTimeout(total=None, connect=self.connect_s)
        async with session.request(
            method,
            self.url,
            data=data,
            headers=self.headers,
            timeout=timeout,
            allow_redirects=False,
            proxy=self.proxy or None,
            ssl=tls(self.ca_bundle) if self.ca_bundle else True,
        ) as response:
            if not 200 <= response.status < 300:
                told = told_in(await _refusal(response), response.status)
                raise judged(told, retry_after_s=retry_after_s(response.headers))
            yield response


async def _reads(
    response: aiohttp.ClientResponse, reader: AnswerReader, rest_s: float
) -> AsyncIterator[bytes]:
    """Yield what arrives. Once the answer is complete, a closed connection or ``rest_s`` more is its end."""
    ends: float | None = None
    while True:
        if not reader.may_be_complete:
            ends = None
        elif ends is None:
            ends = asyncio.get_running_loop().time() + rest_s
        try:
            async with asyncio.timeout_at(ends):
                data = await response.content.readany()
        except (TimeoutError, aiohttp.ClientError) as error:
            if reader.is_complete:
                return
            if ends is None or not isinstance(error, TimeoutError):
                raise
            # A body that merely looked complete.
            ends = None
            data = await response.content.readany()
        if not data:
            return
        yield data


async def _refusal(response: aiohttp.ClientResponse) -> Any:
    """The JSON body of a refusal, or its text; as far as it is read in time."""
    data = b""
    try:
        async with asyncio.timeout(REST_S):
            while len(data) < MAX_REFUSAL_BYTES and (more := await response.content.readany()):
                data += more
    except (TimeoutError, aiohttp.ClientError):
        pass
    try:
        return decoded(data)
    except NotJSON as error:
        return error.text
