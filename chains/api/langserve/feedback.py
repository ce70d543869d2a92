"""The endpoint for callers' feedback on their own runs."""

import math
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from pydantic import BaseModel, Field, ValidationError, field_validator
from rest_framework.request import Request

from chains.actions.feedback import give_feedback, takes_feedback
from chains.api.base import AsyncAPIView, json_response
from chains.models import Feedback
from chains.runtime.errors import InvalidInput
from chains.runtime.names import split_ref
from chains.runtime.wire.fielderrors import field_errors


class FeedbackBody(BaseModel):
    """The request body, as LangServe's ``FeedbackCreateRequest``; ``run_id`` and ``key`` are required."""

    run_id: UUID
    key: str = Field(min_length=1, max_length=100)
    score: float | bool | None = None
    value: str | int | float | bool | dict[str, Any] | None = None
    comment: str | None = Field(default=None, max_length=10_000)

    @field_validator("score")
    @classmethod
    def _is_finite(cls, score: float | bool | None) -> float | None:
        if score is not None and not math.isfinite(score):
            raise ValueError("Input should be a finite number")
        return None if score is None else float(score)


class FeedbackView(AsyncAPIView):
    """HEAD succeeds if the chain accepts feedback. POST stores it and replaces that under the same key."""

    schema = None  # chains.api.schema describes this endpoint for each chain.

    async def head(self, request: Request, ref: str) -> HttpResponse:
        slug, ref = split_ref(ref)
        await takes_feedback(user=self.caller.user, slug=slug, ref=ref)
        return json_response(None)

    async def post(self, request: Request, ref: str) -> HttpResponse:
        try:
            body = FeedbackBody.model_validate(self.body())
        except ValidationError as error:
            raise InvalidInput("The feedback is not valid.", errors=field_errors(error)) from error
        slug, ref = split_ref(ref)
        feedback = await give_feedback(user=self.caller.user, slug=slug, ref=ref, **body.model_dump())
        return json_response(feedback_data(feedback))


def feedback_data(feedback: Feedback) -> dict[str, Any]:
    """Return the response body, with the fields of LangServe's response."""
    return {
        "run_id": str(feedback.run_id),
        "key": feedback.key,
        "score": feedback.score,
        "value": feedback.value,
        "comment": feedback.comment or None,
        "id": str(feedback.id),
        "created_at": feedback.created_at.isoformat(),
        "modified_at": feedback.modified_at.isoformat(),
        "correction": None,
    }
