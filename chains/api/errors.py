"""Maps exceptions to HTTP responses, in both of the API's dialects.

Run endpoints respond with ``{"detail", "message", "code"}``: LangServe's Python client reads ``detail``,
its JavaScript client reads ``message``. Resources under /api/v1/ respond with RFC 9457 problem details.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework.exceptions import APIException

from accounts.auth import CHALLENGE
from accounts.callers import CredentialsRefused
from chains.actions.errors import for_caller
from chains.api.base import json_response, run_headers
from chains.doors import dialect_of
from chains.runtime import errors
from chains.runtime.errors import FieldError

STATUS: Mapping[type[errors.ChainHubError], int] = {
    errors.ChainNotFound: 404,
    errors.StepsHidden: 403,
    errors.InvalidInput: 422,
    errors.InvalidConfigHash: 400,
    errors.ContextTooLong: 422,
    errors.InvalidTemplate: 422,
    errors.RunCancelled: 499,
    errors.OutputInvalid: 502,
    errors.AnswerEmpty: 502,
    errors.ProviderBusy: 503,
    errors.ProviderRateLimited: 503,
    errors.ProviderTimeout: 504,
    errors.ProviderError: 502,
    errors.InvalidSpec: 503,
    errors.RunInterrupted: 503,
    errors.ShuttingDown: 503,
    errors.DatabaseUnavailable: 503,
    errors.RunTimeout: 504,
    errors.ChainHubError: 500,
}
# The longest time that Retry-After asks a client to wait.
MAX_RETRY_AFTER_S = 120


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An error as clients see it; ``errors`` has one item for each invalid field.

    ``run_id`` is the id of the run that failed, "" where none was started.
    """

    status: int
    code: str
    message: str
    run_id: str = ""
    errors: list[FieldError] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


def problem_of(error: Exception) -> Problem:
    """Return the problem for any exception. An unexpected exception is logged, and its text is hidden."""
    if isinstance(error, Http404):
        return _of_chainhub(errors.ChainNotFound())
    if isinstance(error, DjangoPermissionDenied):
        return Problem(status=403, code="permission_denied", message="Not allowed.")
    if isinstance(error, SuspiciousOperation):
        return Problem(status=400, code="bad_request", message="The request is not valid.")
    if isinstance(error, CredentialsRefused):
        headers = {"WWW-Authenticate": CHALLENGE}
        return Problem(status=401, code=error.code, message=str(error), headers=headers)
    if isinstance(error, APIException):
        return _of_drf(error)
    return _of_chainhub(for_caller(error))


def status_of(error: errors.ChainHubError) -> int:
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def _of_chainhub(error: errors.ChainHubError) -> Problem:
    headers = run_headers(error.run) if error.run else {}
    wait_s = getattr(error, "retry_after_s", None)
    if wait_s is not None:
        headers["Retry-After"] = str(max(1, min(MAX_RETRY_AFTER_S, round(wait_s))))
    return Problem(
        status=status_of(error),
        code=error.code,
        message=str(error),
        run_id=str(error.run.run_id) if error.run else "",
        errors=getattr(error, "errors", []),
        headers=headers,
    )


def _of_drf(error: APIException) -> Problem:
    headers = dict(getattr(error, "headers", {}))
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    codes = error.get_codes()
    detail = error.detail if isinstance(error.detail, str) else "The request is not valid."
    return Problem(
        status=error.status_code,
        code=codes if isinstance(codes, str) else "invalid_request",
        message=str(detail),
        headers=headers,
    )


def run_body(problem: Problem) -> dict[str, Any]:
    """Return the body of an error in the dialect of the run endpoints."""
    detail: Any = problem.message
    message = problem.message
    if problem.errors:
        detail = problem.errors
        places = (": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"]))) for e in problem.errors)
        message = f"{problem.message} {'; '.join(places)}"
    body = {"detail": detail, "message": message, "code": problem.code}
    return body | ({"run_id": problem.run_id} if problem.run_id else {})


def run_response(problem: Problem) -> HttpResponse:
    return json_response(run_body(problem), status=problem.status, headers=problem.headers)


def problem_response(problem: Problem, request: HttpRequest) -> HttpResponse:
    """Return RFC 9457 problem details. ``type`` is about:blank, so ``title`` is the status phrase."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.message,
        "code": problem.code,
        "instance": request.path,
        "request_id": getattr(request, "id", ""),
    }
    if problem.errors:
        body["errors"] = problem.errors
    response = json_response(body, status=problem.status, headers=problem.headers)
    response.headers["Content-Type"] = "application/problem+json"
    return response


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's exception handler, for every view."""
    return respond(problem_of(error), context["request"]._request)


def respond(problem: Problem, request: HttpRequest) -> HttpResponse:
    """Return the error response in the dialect of the request's path."""
    if dialect_of(request.path_info) == "api":
        return problem_response(problem, request)
    return run_response(problem)
