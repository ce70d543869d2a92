"""Chains, their access rules and their versions."""

from typing import Self

from django.contrib.auth.models import Group
from django.db import models

from accounts.models import User, Visitor
from chains.models.versions import Label, Version, Versioned
from chains.runtime.names import digest
from chains.runtime.spec.chain import Spec, parse_spec
from chains.runtime.wire.config import CONFIGURABLE


class ChainQuerySet(models.QuerySet["Chain"]):
    def visible_to(self, user: Visitor | None) -> Self:
        """Return the chains that this user may run, enabled or not. Editors may run all chains."""
        if user is None or not user.is_active:
            return self.none()
        if user.has_perm("chains.change_chain"):
            return self
        shared = models.Q(access=Chain.Access.EVERYONE)
        allowed = models.Q(access=Chain.Access.GROUPS, groups__in=user.groups.all())
        return self.filter(shared | allowed).distinct()

    def enabled(self) -> Self:
        return self.filter(enabled=True)


def default_config_keys() -> list[str]:
    return [CONFIGURABLE]


class Chain(Versioned["ChainVersion"]):
    """A chain that is served: configured in the admin, or a runnable that is registered in code."""

    class Kind(models.TextChoices):
        SPEC = "spec", "configured"
        CODE = "code", "in code"

    class Access(models.TextChoices):
        EVERYONE = "everyone", "everyone with an account or a key"
        GROUPS = "groups", "members of the groups below"

    kind = models.CharField(max_length=8, choices=Kind, default=Kind.SPEC, editable=False)
    enabled = models.BooleanField(default=True, help_text="A disabled chain answers as if it did not exist.")
    access = models.CharField(max_length=16, choices=Access, default=Access.EVERYONE)
    groups = models.ManyToManyField(Group, blank=True, related_name="chains")

    disabled_endpoints = models.JSONField(default=list, blank=True)
    config_keys = models.JSONField(
        default=default_config_keys,
        blank=True,
        help_text="What callers may set of 'config'; everything else is dropped.",
    )
    expose_steps = models.BooleanField(
        "show steps to callers",
        default=False,
        help_text="stream_events and stream_log show prompts and every step's input and output. "
        "Editors always see them.",
    )
    system_messages = models.BooleanField(
        "callers may send system messages",
        default=False,
        help_text="A system message of a caller can change what the chain is told to do. "
        "Code that makes messages of untyped input decides for itself.",
    )

    objects = ChainQuerySet.as_manager()

    def is_open(self, switch: str) -> bool:
        """Whether the switch ``switch`` of ``chains.doors`` is on."""
        return switch not in self.disabled_endpoints

    def save_spec(self, spec: Spec, *, author: User | None, note: str = "") -> "ChainVersion":
        """Return the version with this spec: the latest if it has this spec already, else a new one."""
        data = spec.model_dump(mode="json")
        latest = self.latest()
        # Parse the latest spec again before comparing: fields may have been added since it was stored.
        if latest and digest(latest.parsed.model_dump(mode="json")) == digest(data):
            return latest
        return self.add_version(author=author, note=note, digest=digest(data), spec=data)


class ChainVersion(Version):
    """A version of a chain. ``spec`` is the JSON form of ``runtime.spec.chain.Spec``."""

    parent = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="versions")
    spec = models.JSONField()

    class Meta(Version.Meta):
        constraints = [models.UniqueConstraint(fields=["parent", "number"], name="chain_version_number")]

    def __str__(self) -> str:
        return f"{self.parent.slug}@{self.number}"

    @property
    def parsed(self) -> Spec:
        return parse_spec(self.spec)


class ChainLabel(Label):
    parent = models.ForeignKey(Chain, on_delete=models.CASCADE, related_name="labels")
    version = models.ForeignKey(ChainVersion, on_delete=models.CASCADE, related_name="labels")

    class Meta(Label.Meta):
        constraints = [models.UniqueConstraint(fields=["parent", "name"], name="chain_label_name")]
