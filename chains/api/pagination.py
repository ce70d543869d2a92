"""Pagination of lists by cursors. A client sends a cursor back unchanged."""

from datetime import UTC
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request


class CheckedCursor(CursorPagination):
    """Responds with 404 to a cursor that this server cannot have sent.

    rest_framework would use its value in a database query.
    """

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor: Any = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None and not self.is_position(cursor.position):
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def is_position(self, text: str) -> bool:
        """Return whether ``text`` can be a value of the column by which the list is sorted."""
        raise NotImplementedError


class BySlug(CheckedCursor):
    ordering = "slug"
    page_size = 100

    def is_position(self, text: str) -> bool:
        return text.isprintable()


class NewestFirst(CheckedCursor):
    ordering = "-created_at"
    page_size = 50

    def is_position(self, text: str) -> bool:
        try:
            moment = parse_datetime(text)
            return moment is not None and is_aware(moment) and bool(moment.astimezone(UTC))
        except (ValueError, OverflowError):
            return False
