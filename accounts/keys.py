"""API keys: their format, how one is generated, and what is stored of it.

A key is ``chk_live_``, 43 base62 characters (256 random bits) and 6 base62 characters of the CRC32 of all
characters before them. So a double-click selects a complete key, secret scanners can search for keys, and a
typing error is detected without the database.
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from accounts.models import BASE62, ApiKey, User

KEY_START = "chk_live_"
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
PREFIX_LENGTH = 12
DEFAULT_DAYS = 90
MAX_DAYS = 3650
# ASCII only and one fixed length, so matching takes linear time for every input.
KEY = re.compile(rf"{KEY_START}[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}")


@dataclass(frozen=True, kw_only=True)
class IssuedKey:
    """A new row and the key itself, which is available only now."""

    row: ApiKey
    secret: str = field(repr=False)


def base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    return "".join(reversed(digits))


def checksum(text: str) -> str:
    return base62(zlib.crc32(text.encode()), CHECKSUM_LENGTH)


def generate_key() -> str:
    body = KEY_START + base62(secrets.randbelow(62**SECRET_LENGTH), SECRET_LENGTH)
    return body + checksum(body)


def is_meant_as_key(text: str) -> bool:
    """Return whether ``text`` begins as our keys do, also where it is cut off or has a typing error."""
    return text.startswith(KEY_START)


def looks_like_key(text: str) -> bool:
    """Return whether ``text`` has the format and the checksum of our keys. Needs no database."""
    if not KEY.fullmatch(text):
        return False
    return checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key, in hex; only this is stored.

    256 random bits need no slow hash, and with a slow one, many invalid keys could overload the server.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def expiry_in(days: int) -> datetime:
    return timezone.now() + timedelta(days=days)


def issue_key(*, user: User, name: str, expires_at: datetime | None) -> IssuedKey:
    """Store a new key of ``user``. It never expires if ``expires_at`` is None."""
    return save_with_new_key(ApiKey(user=user, name=name, expires_at=expires_at))


def save_with_new_key(row: ApiKey) -> IssuedKey:
    """Generate a key for the unsaved ``row`` and insert the row."""
    key = generate_key()
    row.prefix = key[:PREFIX_LENGTH]
    row.digest = digest_of(key)
    row.save(force_insert=True)
    return IssuedKey(row=row, secret=key)
