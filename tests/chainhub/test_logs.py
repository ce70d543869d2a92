"""No log line holds a credential."""

import io
import logging

import pytest

from chainhub.logs import RedactSecrets

# In the form of a real one, and the same in every process that collects these tests.
KEY = "chk_live_IEc3uBzwSmmx2WFrJJdjunW1eDFYm8hJHinmmANrHHR4TIBtF"


@pytest.fixture
def log():
    """A logger as the settings make it, and what it has written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactSecrets())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger, stream.getvalue


@pytest.mark.parametrize(
    "message",
    [
        f"the key {KEY} was refused",
        f"{KEY}",
        f"Authorization: Bearer {KEY}",
        f"{{'Authorization': 'Bearer {KEY}', 'Accept': '*/*'}}",
        "authorization: Basic c2VjcmV0LXZhbHVl",
        "Cookie: sessionid=secret-value; csrftoken=secret-value",
        "{'cookie': 'sessionid=secret-value'}",
        "X-API-Key: secret-value",
        "sk-proj-secret-value-0123456789",
        "https://api.example/?key=sk-secret-value",
    ],
)
def test_a_credential_is_blacked_out(log, message):
    logger, written = log

    logger.error(message)
    logger.error("%s, %s", message, 1)

    assert written().count("[redacted]") >= 2
    for secret in (KEY, KEY[10:40], "secret-value", "c2VjcmV0LXZhbHVl"):
        assert secret not in written()


def test_a_credential_in_a_traceback_is_blacked_out(log):
    logger, written = log

    try:
        raise ValueError(f"cannot use {KEY}")
    except ValueError:
        logger.exception("it failed")

    assert "ValueError: cannot use [redacted]" in written()


def test_what_is_no_credential_stays(log):
    logger, written = log

    logger.warning("The task-force asked %d of 100%% for sketches", 3)

    assert written() == "The task-force asked 3 of 100% for sketches\n"


def test_a_line_that_cannot_be_formatted_does_not_fail_its_caller(log):
    logger, written = log

    logger.warning("%d things with %s", "no number", KEY)

    assert "things with" in written()
    assert KEY not in written()
