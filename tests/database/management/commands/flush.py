"""What Django empties the database with after a test that other threads or processes saw."""

from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.commands import flush
from django.db import connections

from chains.models import Run

# Migrations fill them. To do so again after each test takes longer than most tests.
KEPT = {Permission._meta.db_table, ContentType._meta.db_table}


class Command(flush.Command):
    """It deletes, as tests leave a few rows only: PostgreSQL takes far longer to truncate twenty tables.

    Rows refer to one another, which is not looked at before the end of the transaction.
    """

    def handle(self, *, database: str, **options: Any) -> None:
        connection = connections[database]
        tables = sorted(set(connection.introspection.django_table_names()) - KEPT)
        names = [connection.ops.quote_name(table) for table in tables]
        statements = [f"DELETE FROM {name}" for name in names]
        if connection.vendor == "postgresql":
            # A run may be recorded just now, which locks the runs first and then what they refer to. In
            # another order the two would wait for each other. SQLite has one who writes at a time anyway.
            runs = connection.ops.quote_name(Run._meta.db_table)
            others = [name for name in names if name != runs]
            statements.insert(0, f"LOCK TABLE {', '.join([runs, *others])} IN EXCLUSIVE MODE")
        connection.ops.execute_sql_flush(statements)
