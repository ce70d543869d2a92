"""Pages of a list: cursors that a client hands back as it got them."""

from datetime import UTC
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request


class CheckedCursor(CursorPagination):
    """A cursor that was never given out is not found; rest_framework would ask the database for it."""

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor: Any = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None and not self.is_position(cursor.position):
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def is_position(self, text: str) -> bool:
        """Whether it could stand in the column that is sorted by."""
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
