"""Stores the feedback of callers on their runs."""

from typing import Any
from uuid import UUID

from accounts.models import User
from chains.actions.find import find
from chains.models import Feedback, Run
from chains.runtime.errors import ChainNotFound
from chains.runtime.names import PRODUCTION
from concurrency.database import in_database_thread


@in_database_thread
def takes_feedback(*, user: User, slug: str, ref: str = PRODUCTION) -> None:
    """Raises ChainNotFound where the chain takes no feedback from this user."""
    find(slug=slug, ref=ref, user=user, switch="feedback")


@in_database_thread
def give_feedback(
    *,
    user: User,
    slug: str,
    ref: str = PRODUCTION,
    run_id: UUID,
    key: str,
    score: float | None,
    value: Any,
    comment: str | None,
) -> Feedback:
    """Store feedback on a run; it replaces earlier feedback with the same ``key``.

    Raises ChainNotFound where the chain takes no feedback, or has no such run that the user may see.
    """
    find(slug=slug, ref=ref, user=user, switch="feedback")
    run = Run.objects.visible_to(user).filter(pk=run_id, chain_slug=slug).first()
    if run is None:
        raise ChainNotFound()
    said = {"user": user, "score": score, "value": value, "comment": comment or ""}
    return Feedback.objects.update_or_create(run=run, key=key, defaults=said)[0]
