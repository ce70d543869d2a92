"""Translates any exception into an error that is safe to show to a caller."""

import logging

from django.db import InterfaceError, OperationalError

from chains.runtime.errors import ChainHubError, DatabaseUnavailable

logger = logging.getLogger(__name__)


def for_caller(error: BaseException) -> ChainHubError:
    """The error to send for ``error``; an unexpected exception is logged and its details are hidden."""
    if isinstance(error, ChainHubError):
        return error
    if isinstance(error, OperationalError | InterfaceError):
        # Without a traceback, because every request logs this during an outage.
        logger.error("The database does not answer: %s", error)
        return DatabaseUnavailable()
    logger.error("Unexpected", exc_info=error)
    return ChainHubError()
