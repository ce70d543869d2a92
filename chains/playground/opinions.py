"""A user's feedback on their own runs, for the pages that show and collect it."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import reverse

from accounts.models import Visitor
from chains.models import Chain, Feedback, Run

THUMBS = "thumbs"
THUMBS_TEXTS = {1: "You found this answer good.", 0: "You found this answer bad."}


@dataclass(frozen=True, kw_only=True)
class Opinions:
    """A user's feedback on one run.

    ``thumb`` is 1 (up), 0 (down) or None (no feedback). ``others`` are (key, text) of feedback that
    programs sent.
    """

    thumb: int | None = None
    comment: str = ""
    others: tuple[tuple[str, str], ...] = ()

    @property
    def said(self) -> str:
        return "" if self.thumb is None else THUMBS_TEXTS[self.thumb]


def opinions_of(run: Run, user: Visitor) -> Opinions:
    given = Feedback.objects.visible_to(user).filter(run=run)
    thumbs = next((f for f in given if f.key == THUMBS and f.score in THUMBS_TEXTS), None)
    return Opinions(
        thumb=None if thumbs is None or thumbs.score is None else int(thumbs.score),
        comment=thumbs.comment if thumbs else "",
        others=tuple(others(f for f in given if f is not thumbs)),
    )


def others(given: Iterable[Feedback]) -> Iterable[tuple[str, str]]:
    for feedback in given:
        parts = [feedback.score, feedback.value, feedback.comment or None]
        yield feedback.key, " · ".join(str(part) for part in parts if part is not None)


def feedback_path(chain: Chain) -> str:
    """Return the path of the chain's feedback endpoint, or "" if the chain accepts no feedback."""
    return reverse("feedback", args=[chain.slug]) if chain.is_open("feedback") else ""
