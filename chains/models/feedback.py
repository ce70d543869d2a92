"""Feedback on the answers of runs."""

import uuid
from typing import Self

from django.conf import settings
from django.db import models

from accounts.models import Visitor
from chains.models.runs import Run


class FeedbackQuerySet(models.QuerySet["Feedback"]):
    def visible_to(self, user: Visitor) -> Self:
        """Return the feedback on the user's own runs."""
        return self.filter(run__user=user)


class Feedback(models.Model):
    """Feedback on a run under one ``key``, such as ``thumbs``. New feedback under a key replaces the old."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="feedback")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    key = models.CharField(max_length=100)
    score = models.FloatField(null=True, blank=True)
    value = models.JSONField(null=True, blank=True)
    comment = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    modified_at = models.DateTimeField(auto_now=True)

    objects = FeedbackQuerySet.as_manager()

    class Meta:
        ordering = ["-modified_at"]
        verbose_name_plural = "feedback"
        constraints = [models.UniqueConstraint(fields=["run", "key"], name="feedback_run_key")]

    def __str__(self) -> str:
        return f"{self.key}: {self.value if self.score is None else self.score}"
