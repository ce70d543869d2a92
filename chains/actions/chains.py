"""What is done with chains beyond writing them: publishing a version."""

from typing import Any

from chains.actions.resolve import plan_for
from chains.models import ChainLabel, ChainVersion
from chains.runtime.spec import PRODUCTION


def publish_chain_version(*, version: ChainVersion, by: Any, label: str = PRODUCTION) -> bool:
    """Let ``label`` name this version, and record the move; callers get it at once.

    False where the label is there already. Raises InvalidSpec where the version could not run as
    things stand, and django's ValidationError for a label that cannot be.
    """
    ChainLabel(name=label).clean_fields(exclude=["parent", "version"])
    ChainLabel(name=label).clean()
    plan_for(version)
    if version.labels.filter(name=label).exists():
        return False
    version.parent.point(label, version, by=by)
    return True
