"""``manage.py createkey``: create an API key and print it, and nothing else, to standard output."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.keys import DEFAULT_DAYS, MAX_DAYS, expiry_in, issue_key
from accounts.models import ApiKey, User


class Command(BaseCommand):
    help = "Create an API key for a user and print it: the only time it can be read."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="createkey", help="what the key is for")
        parser.add_argument(
            "--days", type=int, default=DEFAULT_DAYS, help="days until it expires (%(default)s)"
        )

    def handle(self, *args: Any, username: str, name: str, days: int, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        if not user.is_active:
            raise CommandError(f"The user {username!r} is not active: the key would be refused.")
        if not 1 <= days <= MAX_DAYS:
            raise CommandError(f"--days must be from 1 to {MAX_DAYS}, not {days}.")
        try:
            ApiKey._meta.get_field("name").clean(name, None)
        except ValidationError as error:
            raise CommandError(f"--name: {' '.join(error.messages)}") from error
        issued = issue_key(user=user, name=name, expires_at=expiry_in(days))
        self.stdout.write(issued.secret)
