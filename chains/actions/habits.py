"""Keeps what refusals of providers have taught; ``library`` reads it for plans."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from chains.models import LearnedHabit, Provider
from chains.runtime.context import Taught
from chains.runtime.providers.failures import MAX_TOLD_CHARS
from concurrency.database import in_database_thread

logger = logging.getLogger(__name__)

# References, because the event loop has only weak ones to its tasks.
_notes: set[asyncio.Task[None]] = set()


def note_later(lessons: Sequence[Taught]) -> None:
    """Write the lessons in a task, so that no run waits for it."""
    if not lessons:
        return
    task = asyncio.get_running_loop().create_task(_note(lessons))
    _notes.add(task)
    task.add_done_callback(_notes.discard)


@in_database_thread
def _note(lessons: Sequence[Taught]) -> None:
    for taught in lessons:
        try:
            note(taught)
        except DatabaseError as failure:
            logger.warning("what %s/%s taught was not noted: %s", taught.provider, taught.model, failure)


def note(taught: Taught) -> None:
    """Keep what was learned, or forget it where it proved wrong. A provider may be gone meanwhile."""
    provider = Provider.objects.filter(slug=taught.provider).first()
    if provider is None:
        return
    key: dict[str, Any] = {"provider": provider, "model": taught.model, "habit": taught.habit}
    if taught.value is None:
        LearnedHabit.objects.filter(**key).delete()
        return
    told = {"value": taught.value, "refusal": taught.refusal[:MAX_TOLD_CHARS], "learned_at": timezone.now()}
    LearnedHabit.objects.update_or_create(**key, defaults=told)


def forget(provider: Provider, learned_id: int | None) -> int:
    """Delete one learned habit of the provider, or all for ``None``; return how many there were."""
    rows = provider.learned.all() if learned_id is None else provider.learned.filter(pk=learned_id)
    count, _ = rows.delete()
    return count
