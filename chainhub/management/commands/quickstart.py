"""``manage.py quickstart``: set up the database, seed the demo, print the addresses and serve."""

import secrets
import socket
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from accounts.callers import CredentialsRefused, authenticate_key
from accounts.keys import expiry_in, issue_key
from accounts.models import User

WELCOME = """
  ChainHub is ready.

  Playground   {url}/chains/fitness/playground/
  Admin        {url}/{admin}/     sign in as {username} / {password}
  API docs     {url}/docs/

  Stream an answer:

  curl -N {url}/chains/fitness/stream \\
    -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"input": {{"input": "How do I start running?"}}}}'

  Stop with Ctrl-C.
"""


class Command(BaseCommand):
    help = "Set up the database, seed the demo and serve it (DEBUG only)."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("quickstart is for a developer's machine: set DEBUG=on, or use serve.")
        _check_port()
        call_command("migrate", verbosity=0)
        call_command("seeddemo")
        username, password = _admin_login()
        self.stdout.write(
            WELCOME.format(
                url=f"http://{settings.HOST}:{settings.PORT}{settings.PATH_PREFIX}",
                admin=settings.ADMIN_PATH,
                username=username,
                password=password,
                key=_demo_key(),
            )
        )
        self.stdout.flush()
        call_command("serve")


def _check_port() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, settings.PORT))
        except OSError as error:
            raise CommandError(
                f"Port {settings.PORT} is taken ({error.strerror}). Choose another: PORT=8001 make run"
            ) from None


def _admin_login() -> tuple[str, str]:
    """Return the user name and password of the admin.

    The first start creates a superuser with a random password and stores the password in var/.
    """
    remembered = settings.VAR_DIR / "admin_password"
    admin = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if admin is None:
        password = secrets.token_urlsafe(12)
        admin = User.objects.create_superuser("admin", password=password)
        _remember(remembered, password)
    if remembered.exists() and admin.check_password(password := remembered.read_text()):
        return admin.get_username(), password
    return admin.get_username(), "the password you have set"


def _demo_key() -> str:
    """Return an API key of the demo user. Later starts return the same key as long as it is live."""
    remembered = settings.VAR_DIR / "demo_key"
    if remembered.exists():
        try:
            authenticate_key(key := remembered.read_text())
        except CredentialsRefused:
            pass
        else:
            return key
    user = User.objects.get(username="demo")
    issued = issue_key(user=user, name="quickstart", expires_at=expiry_in(90))
    _remember(remembered, issued.secret)
    return issued.secret


def _remember(path: Path, secret: str) -> None:
    path.touch(mode=0o600)
    path.write_text(secret)
