"""What people said of their runs, for the pages that show it and take it."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import reverse

from accounts.models import Visitor
from chains.models import Chain, Feedback, Run

THUMBS = "thumbs"
THUMBS_TEXTS = {1: "You found this answer good.", 0: "You found this answer bad."}


@dataclass(frozen=True, kw_only=True)
class Opinions:
    """``thumb`` is 1, 0, or None where nothing was said; ``others`` were given by programs."""

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
    """Where feedback goes; empty for a chain that takes none."""
    return "" if "feedback" in chain.disabled_endpoints else reverse("feedback", args=[chain.slug])
