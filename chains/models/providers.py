"""Providers of models, and the prices of models."""

from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone
from pydantic import SecretStr

from chains.models.fields import EncryptedTextField
from chains.runtime.errors import InvalidSpec
from chains.runtime.names import SLUG_PATTERN
from chains.runtime.providers import KINDS
from chains.runtime.providers.reach import (
    ProviderConfig,
    check_base_url,
    check_certificates,
    check_proxy,
    parse_headers,
)

slug_validator = RegexValidator(
    # In Python, "$" also matches before a line break at the end; "\Z" does not.
    SLUG_PATTERN.removesuffix("$") + r"\Z",
    "Lower-case letters, digits, '-' and '_', beginning with a letter or digit.",
)


class SlugField(models.CharField):
    """A unique name for use in URLs."""

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("max_length", 64)
        kwargs.setdefault("unique", True)
        kwargs.setdefault("validators", [slug_validator])
        super().__init__(*args, **kwargs)


class SecondsField(models.FloatField):
    """A time limit in seconds, from 0.1 to 3600."""

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs["validators"] = [MinValueValidator(0.1), MaxValueValidator(3600)]
        super().__init__(*args, **kwargs)


def kind_choices() -> list[tuple[str, str]]:
    """Return the runtime's provider kinds. Migrations refer to this function, so a new kind needs none."""
    return [(name, kind.label) for name, kind in KINDS.items()]


class Provider(models.Model):
    """An endpoint with its credential. They are one record, so that a key is only sent to its own host."""

    slug = SlugField()
    kind = models.CharField(max_length=32, choices=kind_choices)
    base_url = models.CharField(
        "endpoint",
        max_length=500,
        blank=True,
        help_text="Base URL of an OpenAI-compatible API, such as https://api.openai.com/v1.",
    )
    api_key = EncryptedTextField("API key", blank=True)
    connect_timeout_s = SecondsField("connect, seconds", default=5)
    first_token_timeout_s = SecondsField("first token, seconds", default=30)
    chunk_timeout_s = SecondsField("between chunks, seconds", default=30)
    answer_timeout_s = SecondsField(
        "whole answer, seconds", default=120, help_text="For calls that do not stream."
    )
    run_timeout_s = SecondsField("whole run, seconds", default=300)
    max_concurrency = models.PositiveIntegerField(
        default=0, help_text="Calls under way at once in each server process; 0 means no cap."
    )
    # Settings of ``providers.habits.SETTINGS``; one that is missing is ``auto``.
    habits = models.JSONField(default=dict, blank=True)
    splits_thinking = models.BooleanField(
        "keep think blocks apart",
        default=True,
        help_text="An answer that begins with <think>…</think> is given without it; its run keeps it.",
    )
    headers = EncryptedTextField(
        "further headers",
        blank=True,
        help_text="Sent with each request, one in a line: Name: value. Stored encrypted.",
    )
    proxy = EncryptedTextField(
        "HTTP proxy",
        blank=True,
        help_text="For example http://user:password@proxy.example.com:3128. Stored encrypted.",
    )
    ca_bundle = models.TextField(
        "CA certificates",
        blank=True,
        help_text="In PEM form, for an endpoint whose certificate the system does not know. They replace "
        "the system's.",
    )
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        checks = {
            "base_url": check_base_url,
            "headers": parse_headers,
            "proxy": check_proxy,
            "ca_bundle": check_certificates,
        }
        faults = {}
        for name, check in checks.items():
            try:
                if value := getattr(self, name):
                    check(value)
            except InvalidSpec as error:
                faults[name] = str(error)
        faults |= self._kind_faults()
        if faults:
            raise ValidationError(faults)

    def _kind_faults(self) -> dict[str, str]:
        """Return what the kind lacks here; a name that is no kind is the field's own fault."""
        kind = KINDS.get(self.kind)
        if kind is None or not self.enabled:
            return {}
        if not kind.is_installed:
            return {"kind": kind.how_to_install}
        if kind.needs_endpoint and not self.base_url:
            return {"base_url": f"{kind.label} needs an endpoint."}
        return {}

    @property
    def key_hint(self) -> str:
        """Return what the admin may show of the credential: its last four characters at most."""
        if not self.api_key:
            return "not set"
        return f"set, ends …{self.api_key[-4:]}" if len(self.api_key) >= 12 else "set"

    @property
    def headers_hint(self) -> str:
        """Return what the admin may show of the further headers: their names."""
        return f"set: {', '.join(parse_headers(self.headers))}" if self.headers else "not set"

    @property
    def proxy_hint(self) -> str:
        """Return what the admin may show of the proxy: its address without user and password."""
        if not self.proxy:
            return "not set"
        parts = urlsplit(self.proxy)
        return f"set: {parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def has_same_host(self, other_url: str) -> bool:
        """Return whether ``other_url`` has the same scheme, host and port, so the credential may stay."""
        return urlsplit(self.base_url)[:2] == urlsplit(other_url)[:2]

    def to_config(self) -> ProviderConfig:
        return ProviderConfig(
            slug=self.slug,
            kind=self.kind,
            base_url=self.base_url,
            api_key=SecretStr(self.api_key),
            connect_s=self.connect_timeout_s,
            first_token_s=self.first_token_timeout_s,
            chunk_s=self.chunk_timeout_s,
            answer_s=self.answer_timeout_s,
            run_s=self.run_timeout_s,
            max_concurrency=self.max_concurrency,
            habits=self.habits,
            headers=parse_headers(self.headers or ""),
            proxy=self.proxy or "",
            ca_bundle=self.ca_bundle,
            splits_thinking=self.splits_thinking,
        )


class LearnedHabit(models.Model):
    """What a refusal of a provider has taught about one of its models; see ``runtime.providers.habits``."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="learned")
    model = models.CharField(max_length=200)
    habit = models.CharField(max_length=64)
    value = models.CharField(max_length=64)
    # The provider's own words; no key stands in them.
    refusal = models.CharField(max_length=500)
    learned_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["provider", "model", "habit"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "model", "habit"], name="one_value_of_a_habit")
        ]

    def __str__(self) -> str:
        return f"{self.model}: {self.habit} = {self.value}"


class PriceQuerySet(models.QuerySet["Price"]):
    def valid_now(self) -> "PriceQuerySet":
        return self.filter(valid_from__lte=timezone.now()).order_by("valid_from")


class Price(models.Model):
    """A model's prices from a date on. The newest row whose date has been reached counts."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="prices")
    model = models.CharField(max_length=200)
    input_usd = models.DecimalField(
        "input, USD per million tokens",
        max_digits=12,
        decimal_places=6,
        validators=[MinValueValidator(Decimal(0))],
    )
    cached_input_usd = models.DecimalField(
        "cached input, USD per million tokens",
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal(0))],
        help_text="For input that the provider reads from its cache. Empty: the same as other input.",
    )
    output_usd = models.DecimalField(
        "output, USD per million tokens",
        max_digits=12,
        decimal_places=6,
        validators=[MinValueValidator(Decimal(0))],
    )
    valid_from = models.DateTimeField(default=timezone.now)

    objects = PriceQuerySet.as_manager()

    class Meta:
        ordering = ["provider", "model", "-valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "model", "valid_from"], name="one_price_at_a_time")
        ]

    def __str__(self) -> str:
        cached = "" if self.cached_input_usd is None else f" ({self.cached_input_usd:f} cached)"
        return f"{self.model}: {self.input_usd:f} in{cached}, {self.output_usd:f} out"
