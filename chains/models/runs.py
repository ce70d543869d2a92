"""Runs: one row for each execution of a chain."""

import uuid
from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import Visitor
from chains.doors import source_choices
from chains.models.chains import Chain, ChainVersion

# Each process updates ``seen_at`` of its runs every HEARTBEAT_S. A run that was not updated for
# LOST_AFTER_S is taken for lost: its process has probably died.
HEARTBEAT_S = 10
LOST_AFTER_S = 60


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, user: Visitor) -> Self:
        """Return the user's own runs only, also for staff. Operators read all runs in the admin."""
        return self.filter(user=user)

    def running(self) -> Self:
        return self.filter(status=Run.Status.RUNNING)

    def silent(self) -> Self:
        """Return the running runs that no process has updated for LOST_AFTER_S."""
        return self.running().filter(seen_at__lt=timezone.now() - timedelta(seconds=LOST_AFTER_S))


# What callers may see of a model call and of its tries.
PUBLIC_OF_CALL = (
    *("step", "provider", "model", "attempts", "finish_reason", "raw_finish_reason"),
    *("input_tokens", "output_tokens", "cost_usd", "token_details"),
)
PUBLIC_OF_TRY = ("started_ms", "ms", "first_ms", "outcome", "code", "status")


def _only(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


class Run(models.Model):
    """One execution of a chain.

    The row is written when the run starts (that of a very short run only at its end). ``ended_at``, the
    output, the tokens, the cost and the times are written when the run ends.
    """

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        INTERRUPTED = "interrupted", "Interrupted"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    parent_id = models.UUIDField("batch", null=True, blank=True, db_index=True)
    # These text columns keep the names after the chain is deleted.
    chain = models.ForeignKey(Chain, null=True, on_delete=models.SET_NULL, related_name="runs")
    chain_slug = models.CharField("chain", max_length=64, db_index=True)
    chain_version = models.ForeignKey(ChainVersion, null=True, on_delete=models.SET_NULL, related_name="+")
    chain_version_number = models.PositiveIntegerField("version", null=True)
    # For a code chain, in place of a version number: the package and its version.
    package = models.CharField(max_length=200, blank=True)
    prompt_versions = models.JSONField(default=dict)
    plan_digest = models.CharField(max_length=64)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="runs"
    )
    key = models.ForeignKey(
        "accounts.ApiKey", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # The door through which the run was started.
    source = models.CharField(max_length=32, choices=source_choices)
    status = models.CharField(max_length=12, choices=Status, default=Status.RUNNING)
    # What of the caller's config was allowed and applied.
    config = models.JSONField(default=dict, blank=True)
    input = models.JSONField(null=True)
    output = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    finish_reason = models.CharField(max_length=64, blank=True)
    # One item for each model call, answered or not: step, provider, model, tries, tokens, cost. What is not
    # in PUBLIC_OF_CALL and PUBLIC_OF_TRY is for staff, such as the reasoning and the provider's own words.
    calls = models.JSONField(default=list)
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=10, null=True, blank=True)
    # A call broke off after its provider had begun to charge for it, without telling how much.
    cost_is_minimum = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)
    # The process that runs it ("host/pid/start"), and the time of its last heartbeat.
    worker = models.CharField(max_length=200)
    seen_at = models.DateTimeField(default=timezone.now)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["user", "-created_at"]),
            models.Index(fields=["-created_at"]),
            models.Index(fields=["seen_at"], name="running_runs", condition=models.Q(status="running")),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def public_calls(self) -> list[dict[str, Any]]:
        """Return the calls without what is only for staff."""
        return [
            _only(call, PUBLIC_OF_CALL)
            | {"tries": [_only(each, PUBLIC_OF_TRY) for each in call.get("tries", [])]}
            for call in self.calls
        ]

    @property
    def version_name(self) -> str:
        """Return the version that answered, as a text for people: ``3``, or ``jokes 1.2.0``."""
        return self.package if self.chain_version_number is None else str(self.chain_version_number)
