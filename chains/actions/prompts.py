"""Publishes versions of prompts."""

from accounts.models import User
from chains.actions.versions import check_label, move_label
from chains.models import Chain, ChainLabel, Prompt, PromptVersion
from chains.runtime.names import PRODUCTION
from chains.runtime.steps.base import PromptRef


def publish_prompt_version(*, version: PromptVersion, by: User | None, label: str = PRODUCTION) -> bool:
    """Move ``label`` to this version, and record the move; chains that refer to the label use it at once.

    Returns False where the label is there already. Raises Django's ValidationError for an invalid label.
    """
    check_label(version, label)
    return move_label(version, label=label, by=by)


def chains_served_by(*, prompt: Prompt, label: str) -> list[Chain]:
    """The chains whose version in production uses this prompt by this label, or lets callers choose it."""
    published = ChainLabel.objects.filter(name=PRODUCTION).select_related("parent", "version")
    wanted = PromptRef(slug=prompt.slug, ref=label)
    return [
        row.parent
        for row in published.order_by("parent__slug")
        if wanted in row.version.parsed.possible_references()
    ]
