"""How to reach a model: the provider's endpoint, credential and limits, and its places."""

import asyncio
import base64
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from chains.runtime import errors
from chains.runtime.pricing import Price
from chains.runtime.providers.habits import Habits, habits_of
from concurrency.loops import per_loop


@dataclass(frozen=True, kw_only=True)
class ProviderConfig:
    """A provider. Time limits are in seconds; ``max_concurrency`` 0 means no cap.

    ``habits`` are the record's settings for ``providers.habits``. ``headers`` are sent with each request.
    ``proxy`` is the URL of an HTTP proxy. ``ca_bundle`` has certificates in PEM form; they replace the
    system's. ``splits_thinking``: a think block at the beginning of an answer is kept apart from it.
    """

    slug: str
    kind: str
    base_url: str = ""
    api_key: SecretStr
    connect_s: float = 5
    first_token_s: float = 30
    chunk_s: float = 30
    answer_s: float = 120
    run_s: float = 300
    max_concurrency: int = 0
    habits: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str = field(default="", repr=False)
    ca_bundle: str = ""
    splits_thinking: bool = True

    @cached_property
    def secrets(self) -> frozenset[str]:
        """Texts that may never be told to anyone, even where a provider repeats them or parts of them."""
        key, proxy = self.api_key.get_secret_value(), urlsplit(self.proxy)
        user, password = unquote(proxy.username or ""), unquote(proxy.password or "")
        found = {key, _base64(key), self.proxy, proxy.password or "", password}
        if password:
            found.add(_base64(f"{user}:{password}"))
        for value in self.headers.values():
            found |= {value, _base64(value), *_parts_of_header(value)}
        return frozenset(filter(None, found))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _parts_of_header(value: str) -> Iterator[str]:
    """The parts of a header's value that may be secrets themselves, such as a cookie or a Basic login."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            login = base64.b64decode(rest, validate=True).decode()
            yield from (login, login.partition(":")[2])
    for part in re.split(r"[\s;,]+", value):
        _, _, inner = part.partition("=")
        yield from (text for text in (part, inner) if len(text) >= MIN_PART_CHARS)


@dataclass(frozen=True, kw_only=True)
class PlanTarget:
    """A target with its provider looked up; ``price`` is ``None`` where unknown.

    ``learned`` are the habits of this model that refusals have taught, by name.
    """

    provider: ProviderConfig
    model: str
    price: Price | None = None
    learned: Mapping[str, str] = field(default_factory=dict)

    def habits_at(self, base_url: str, *, token_limit: str = "") -> Habits:
        """How to ask this model at this address, which is the kind's own where the record has none.

        ``token_limit`` as in ``habits_of``.
        """
        return habits_of(
            self.provider.habits,
            self.learned,
            base_url=base_url,
            model=self.model,
            token_limit=token_limit,
        )


@dataclass(frozen=True, kw_only=True)
class ModelParams:
    """The parameters of a model call, besides its messages. A provider kind knows no more of the step.

    ``name`` is sent as the name of ``json_schema`` where the provider requires one. ``extra`` holds
    parameters that only some provider kinds know.
    """

    name: str
    temperature: float | None = None
    max_tokens: int | None = None
    json_schema: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> frozenset[str]:
        """The names of what is set."""
        own = ("temperature", "max_tokens", "json_schema")
        return frozenset(self.extra) | {name for name in own if getattr(self, name) is not None}

    def sampling(self, habits: Habits) -> dict[str, Any]:
        """The temperature and ``extra``, without what this model has refused."""
        given = {"temperature": self.temperature, **self.extra}
        return {name: value for name, value in given.items() if name not in habits.left_out}


# Shorter parts of a header are words rather than secrets.
MIN_PART_CHARS = 8
SECRET_NAME = re.compile(r"key|token|secret|sig|pass|auth|cred|^code$", re.IGNORECASE)


def check_base_url(url: str) -> None:
    """Raises InvalidSpec unless ``url`` is a plain http(s) endpoint; credentials in a URL would leak."""
    parts = _parts(url, "The endpoint")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise errors.InvalidSpec("The endpoint must not contain a user name or password.")
    if parts.fragment:
        raise errors.InvalidSpec("The endpoint has no fragment ('#…').")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if SECRET_NAME.search(name):
            raise errors.InvalidSpec(
                f"The endpoint's query has {name!r}, which looks like a credential, and endpoints are shown. "
                "Enter it as the key, or as a further header."
            )


# Paths under a base URL that people copy with it from documentation.
BEHIND_BASE = ("/chat/completions", "/completions", "/responses", "/embeddings", "/v1/messages", "/models")


def cut_to_base(url: str) -> str:
    """The base URL in an address of one of its endpoints; the query stays."""
    base, question, query = url.strip().partition("?")
    base = base.rstrip("/")
    for path in BEHIND_BASE:
        # Azure's base URL itself ends so: https://….services.ai.azure.com/models
        if base.endswith(path) and not base.endswith(".azure.com/models"):
            base = base.removesuffix(path).rstrip("/")
            break
    return f"{base}{question}{query}"


def check_proxy(url: str) -> None:
    """Raises InvalidSpec unless ``url`` is the address of an HTTP proxy; it may have a user and password."""
    parts = _parts(url, "The proxy")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise errors.InvalidSpec("The proxy has no path, no query and no fragment.")


def _parts(url: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise errors.InvalidSpec(f"{what} is not a URL.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.InvalidSpec(f"{what} starts with http:// or https:// and names a host.")
    return parts


CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----")


def trusting(ca_bundle: str) -> ssl.SSLContext:
    """A context for the certificates in ``ca_bundle``, or for the system's where that is "".

    What stands around the certificates is left out: bundles have names in any alphabet there. Raises
    ssl.SSLError and ValueError.
    """
    certificates = "\n".join(CERTIFICATE.findall(ca_bundle))
    if ca_bundle and not certificates:
        raise ValueError("no certificate")
    return ssl.create_default_context(cadata=certificates or None)


def check_certificates(pem: str) -> None:
    """Raises InvalidSpec unless ``pem`` has certificates in PEM form."""
    try:
        trusting(pem)
    except (ssl.SSLError, ValueError):
        raise errors.InvalidSpec(
            "These are no certificates in PEM form ('-----BEGIN CERTIFICATE-----')."
        ) from None


# Headers that belong to the request itself.
RESERVED_HEADERS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})


def parse_headers(text: str) -> dict[str, str]:
    """The headers in lines such as ``Name: value``; raises InvalidSpec, which names the faulty line."""
    headers: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise errors.InvalidSpec(f"Line {number} is no header. Write it as 'Name: value'.")
        if name.lower() in RESERVED_HEADERS:
            raise errors.InvalidSpec(f"Line {number}: the header {name} belongs to the request itself.")
        if not value.isascii() or not value.isprintable():
            raise errors.InvalidSpec(f"Line {number}: a header has no letters beyond ASCII.")
        headers[name] = value
    return headers


class _Places(dict[tuple[str, int], asyncio.Semaphore]):
    """The places at each provider, by the provider's slug and cap."""

    def __missing__(self, key: tuple[str, int]) -> asyncio.Semaphore:
        self[key] = places = asyncio.Semaphore(key[1])
        return places


_places = per_loop(_Places)


def places_at(provider: ProviderConfig) -> asyncio.Semaphore | None:
    """The provider's places, one of which a model call holds; ``None`` where the provider has no cap."""
    return _places()[provider.slug, provider.max_concurrency] if provider.max_concurrency else None
