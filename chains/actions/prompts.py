"""What is done with prompts beyond writing them: publishing a version."""

from accounts.models import User
from chains.actions.versions import check_label, move_label
from chains.models import Chain, ChainLabel, Prompt, PromptVersion
from chains.runtime.names import PRODUCTION
from chains.runtime.steps.base import PromptRef


def publish_prompt_version(*, version: PromptVersion, by: User | None, label: str = PRODUCTION) -> bool:
    """Let ``label`` name this version, and record the move; chains that refer to it follow at once.

    False where the label is there already. Raises django's ValidationError for a label that cannot be.
    """
    check_label(version, label)
    return move_label(version, label=label, by=by)


def chains_served_by(*, prompt: Prompt, label: str) -> list[Chain]:
    """The chains whose published version asks for this prompt by this label, or lets callers ask for it."""
    published = ChainLabel.objects.filter(name=PRODUCTION).select_related("parent", "version")
    wanted = PromptRef(slug=prompt.slug, ref=label)
    return [
        row.parent
        for row in published.order_by("parent__slug")
        if wanted in row.version.parsed.possible_references()
    ]
