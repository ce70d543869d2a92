"""What a caller may know of any exception."""

import logging

from django.db import InterfaceError, OperationalError

from chains.runtime.errors import ChainHubError, DatabaseUnavailable

logger = logging.getLogger(__name__)


def for_caller(error: Exception) -> ChainHubError:
    """One that is not known is logged and hidden."""
    if isinstance(error, ChainHubError):
        return error
    if isinstance(error, OperationalError | InterfaceError):
        # In one line: it comes with every request as long as the outage lasts.
        logger.error("The database does not answer: %s", error)
        return DatabaseUnavailable()
    logger.error("Unexpected", exc_info=error)
    return ChainHubError()
