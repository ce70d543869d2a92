"""Prompts and their versions."""

from django.db import models

from accounts.models import User
from chains.models.versions import Label, Version, Versioned
from chains.runtime.names import digest
from chains.runtime.steps.prompts import PromptSpec


class Prompt(Versioned["PromptVersion"]):
    """A template that chains refer to by slug and ref."""

    def save_spec(self, spec: PromptSpec, *, author: User | None, note: str = "") -> "PromptVersion":
        """Return the version with this content: the latest if it has this content already, else a new one."""
        data = spec.model_dump(mode="json")
        latest = self.latest()
        if latest and latest.digest == digest(data):
            return latest
        return self.add_version(author=author, note=note, digest=digest(data), **data)


class PromptVersion(Version):
    """A version of a prompt. ``messages`` and ``variables`` are the JSON form of a ``PromptSpec``."""

    parent = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="versions")
    messages = models.JSONField()
    variables = models.JSONField(default=list)

    class Meta(Version.Meta):
        constraints = [models.UniqueConstraint(fields=["parent", "number"], name="prompt_version_number")]

    def __str__(self) -> str:
        return f"{self.parent.slug}@{self.number}"

    @property
    def spec(self) -> PromptSpec:
        return PromptSpec.model_validate({"messages": self.messages, "variables": self.variables})


class PromptLabel(Label):
    parent = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="labels")
    version = models.ForeignKey(PromptVersion, on_delete=models.CASCADE, related_name="labels")

    class Meta(Label.Meta):
        constraints = [models.UniqueConstraint(fields=["parent", "name"], name="prompt_label_name")]
