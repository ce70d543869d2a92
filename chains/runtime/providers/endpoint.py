"""Sends requests to a provider over aiohttp, and reads the answers as they come.

SDKs validate each request against their types, build objects for every piece of a stream, and know only
answers as their own provider sends them.
"""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import aiohttp

from chains.runtime.errors import ProviderCut, ProviderError, ProviderGarbage, ProviderUnreachable, Told
from chains.runtime.providers.answers import AnswerReader
from chains.runtime.providers.collected import Collected
from chains.runtime.providers.failures import failure_in, judged, retry_after_s, told_in
from chains.runtime.providers.pieces import REST_S, Piece
from chains.runtime.providers.reach import trusting
from chains.runtime.providers.sse import NotJSON, decoded
from chains.runtime.providers.unpacking import Unpacker
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
        # ``unpacking`` looks at what a body is.
        auto_decompress=False,
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

    There is no limit for reading: ``providers.attempts`` limits the wait for each piece. ``proxy`` and
    ``ca_bundle`` as in ``ProviderConfig``. ``rest_s`` limits the wait for what follows a complete answer,
    ``doubt_s`` where its content may go on.
    """

    url: str
    headers: Mapping[str, str]
    connect_s: float
    proxy: str = ""
    ca_bundle: str = ""
    rest_s: float = REST_S
    doubt_s: float = REST_S

    async def pieces(
        self, body: Mapping[str, Any], answer: Collected
    ) -> AsyncGenerator[Sequence[Piece], None]:
        """Send the body and yield the pieces of the answer, those of one read together.

        Yields no pieces where something of the answer has come that says nothing. ``answer`` reads its
        objects. Raises ProviderError, and aiohttp's exceptions.
        """
        reader = AnswerReader(answer)
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        async with await self._request("POST", data) as response:
            await _raise_for_status(response)
            content = _Body(response, reader, self)
            try:
                while not reader.is_over and (part := await content.read()):
                    reader.lives = False
                    if pieces := reader.add(part):
                        content.went_on()
                    if pieces or reader.lives:
                        yield pieces
                    if reader.fault:
                        raise reader.fault
            except aiohttp.ClientError as error:
                if pieces := reader.broken_off():
                    yield pieces
                if not reader.is_body:
                    raise
                cut = ProviderCut()
                cut.said = reader.cut_text
                raise cut from error
            except asyncio.CancelledError as stopped:
                # For the error of a time limit, which takes the place of this one.
                stopped.said = reader.cut_text  # type: ignore[attr-defined]
                raise
        if pieces := reader.finish():
            yield pieces
        if reader.fault:
            raise reader.fault

    async def models(self) -> list[str]:
        """Get the address, where a list of models is, and return their names.

        Raises ProviderError, and aiohttp's exceptions.
        """
        async with await self._request("GET") as response:
            await _raise_for_status(response)
            data = await _read(response, MAX_VALUE_BYTES + 1)
        if len(data) > MAX_VALUE_BYTES:
            raise ProviderGarbage()
        try:
            value = decoded(data)
        except NotJSON:
            raise ProviderGarbage() from None
        if told := failure_in(value):
            raise judged(told)
        return _names_in(value)

    async def _request(self, method: str, data: bytes | None = None) -> AbstractAsyncContextManager[Any]:
        """A request, to be entered for its response; the status is not judged yet."""
        session = await _sessions().get()
        return session.request(
            method,
            self.url,
            data=data,
            headers=self.headers,
            timeout=_timeout(self.connect_s),
            allow_redirects=False,
            proxy=self.proxy or None,
            ssl=tls(self.ca_bundle) if self.ca_bundle else True,
        )


def _names_in(listed: Any) -> list[str]:
    """The names in a list of models, which not all servers put under OpenAI's name ``data``."""
    if isinstance(listed, dict):
        listed = listed.get("data") or listed.get("models")
    if not isinstance(listed, list):
        raise ProviderGarbage()
    named = (item.get("id") or item.get("name") if isinstance(item, dict) else item for item in listed)
    return [name for name in named if isinstance(name, str) and name]


@cache
def _timeout(connect_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect_s)


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if not 200 <= response.status < 300:
        told = told_in(await _refusal(response), response.status)
        raise judged(told, retry_after_s=retry_after_s(response.headers))


@dataclass(slots=True)
class _Body:
    """The body of an answer as it arrives.

    Once the answer is complete, a connection that closes, or a time in which it does not go on, is its end.
    """

    response: aiohttp.ClientResponse
    reader: AnswerReader
    endpoint: Endpoint
    _parts: Iterator[bytes] = field(default_factory=lambda: iter(()))
    _unpacker: Unpacker = field(init=False)
    # When the answer ends, in seconds of the loop's clock; ``None`` while it may not be complete.
    _ends: float | None = None

    def __post_init__(self) -> None:
        self._unpacker = Unpacker(self.response.headers.get("Content-Encoding", ""))

    async def read(self) -> bytes:
        """The next part, b"" at the end; raises aiohttp's exceptions."""
        while True:
            for part in self._parts:
                if self._unpacker.is_packed:
                    # A little packed data may be much content, which must not keep the loop.
                    await asyncio.sleep(0)
                if part:
                    return part
            if not (data := await self._arrived()):
                return b""
            if self.reader.is_body:
                self.went_on()
            self._parts = self._unpacker.add(data)

    def went_on(self) -> None:
        """The answer has new content, so its rest may take as long again."""
        self._ends = None

    async def _arrived(self) -> bytes:
        try:
            return await self._next()
        except aiohttp.ClientError:
            # What came together with the fault is still there.
            if data := self.response.content._read_nowait(-1):
                return data
            raise

    async def _next(self) -> bytes:
        content = self.response.content
        if not self.reader.may_be_complete:
            self._ends = None
            return await content.readany()
        if content.at_eof():
            return b""
        loop = asyncio.get_running_loop()
        rest_s = self.endpoint.doubt_s if self.reader.may_go_on else self.endpoint.rest_s
        self._ends = self._ends or loop.time() + rest_s
        try:
            async with asyncio.timeout_at(self._ends):
                return await content.readany()
        except (TimeoutError, aiohttp.ClientError) as error:
            if self.reader.is_complete:
                return b""
            if not isinstance(error, TimeoutError):
                raise
            # What merely looked complete.
            return await content.readany()


async def _refusal(response: aiohttp.ClientResponse) -> Any:
    """The JSON body of a refusal, or its text; as far as it is read in time."""
    try:
        return decoded(await _read(response, MAX_REFUSAL_BYTES, within_s=REST_S))
    except NotJSON as error:
        return error.text


async def _read(response: aiohttp.ClientResponse, most: int, *, within_s: float | None = None) -> bytes:
    """The first ``most`` bytes of a body; with ``within_s``, as far as they arrive in time."""
    data, unpacker = b"", Unpacker(response.headers.get("Content-Encoding", ""))
    try:
        async with asyncio.timeout(within_s):
            while len(data) < most and (more := await response.content.readany()):
                for part in unpacker.add(more):
                    data += part
                    if len(data) >= most:
                        break
    except (TimeoutError, aiohttp.ClientError):
        if within_s is None:
            raise
    return data[:most]


def failed_request(error: Exception) -> ProviderError:
    """The ProviderError for an exception of aiohttp; any other one means an answer that cannot be read."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # The proxy in between refused the connection, for example with 407.
        return judged(Told(status=error.status, message=f"The proxy: {error.message}"))
    if isinstance(error, aiohttp.ClientConnectorError):
        return _explained(ProviderUnreachable(), f"nothing, because {_why_unreachable(error)}")
    if isinstance(
        error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | aiohttp.ClientOSError
    ):
        return _explained(ProviderCut(), "nothing more: the connection broke off")
    return ProviderGarbage()


def _why_unreachable(error: aiohttp.ClientConnectorError) -> str:
    place = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy {place} could not be reached ({_why_failed(error)})"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} was not found"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or "it cannot be verified"
        return f"the certificate of {place} is not trusted ({why}); its CA belongs under CA certificates"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"{place} does not speak TLS as https asks for it ({_why_failed(error)})"
    return f"{place} did not take the connection ({_why_failed(error)})"


def _why_failed(error: aiohttp.ClientConnectorError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.os_error)


def _explained(error: ProviderError, message: str) -> ProviderError:
    """The error with a text for staff, which stands where otherwise the provider's own words do."""
    error.told = Told(message=message)
    return error
