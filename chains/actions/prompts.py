"""What is done with prompts beyond writing them: publishing a version."""

from collections.abc import Iterator
from typing import Any

from chains.models import Chain, ChainLabel, Prompt, PromptLabel, PromptVersion
from chains.runtime.names import PRODUCTION
from chains.runtime.spec.chain import Spec
from chains.runtime.steps.llm import PromptRef


def publish_prompt_version(*, version: PromptVersion, by: Any, label: str = PRODUCTION) -> bool:
    """Let ``label`` name this version, and record the move; chains that refer to it follow at once.

    False where the label is there already. Raises django's ValidationError for a label that cannot be.
    """
    PromptLabel(name=label).clean_fields(exclude=["parent", "version"])
    PromptLabel(name=label).clean()
    if version.labels.filter(name=label).exists():
        return False
    version.parent.point(label, version, by=by)
    return True


def chains_served_by(*, prompt: Prompt, label: str) -> list[Chain]:
    """The chains whose published version asks for this prompt by this label, or lets callers ask for it."""
    published = ChainLabel.objects.filter(name=PRODUCTION).select_related("parent", "version")
    wanted = PromptRef(slug=prompt.slug, ref=label)
    return [
        row.parent for row in published.order_by("parent__slug") if wanted in _prompts_of(row.version.parsed)
    ]


def _prompts_of(spec: Spec) -> Iterator[PromptRef]:
    steps = {step.name: step for step in spec.steps}
    for step in spec.steps:
        yield step.prompt
    for option in spec.configurable:
        for choice in getattr(option, "choices", ()):
            yield option.applied(steps[option.step], choice).prompt
