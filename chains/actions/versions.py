"""What is done with versions of any kind: a label is moved to one of them."""

from typing import Any

from accounts.models import User
from chains.models import ChainVersion, PromptVersion


def check_label(version: ChainVersion | PromptVersion, label: str) -> None:
    """Raises Django's ValidationError for what cannot be a label of this version."""
    label_class: Any = version.parent.labels.model
    row = label_class(name=label)
    row.clean_fields(exclude=["parent", "version"])
    row.clean()


def move_label(version: ChainVersion | PromptVersion, *, label: str, by: User | None) -> bool:
    """Let ``label`` name this version, and record the move; False where it names it already."""
    if version.labels.filter(name=label).exists():
        return False
    parent: Any = version.parent
    parent.point(label, version, by=by)
    return True
