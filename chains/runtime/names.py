"""Names: slugs, refs, labels, variables, and the digest that identifies a behaviour."""

import hashlib
import json
from typing import Annotated, Any

from pydantic import StringConstraints

SLUG_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN)]
Ref = Annotated[str, StringConstraints(pattern=SLUG_PATTERN)]
NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]

LATEST = "latest"
PRODUCTION = "production"


def split_ref(text: str) -> tuple[str, str]:
    """Split ``slug@label`` or ``slug@number`` into slug and ref; without ``@`` the ref is ``production``."""
    slug, at, ref = text.partition("@")
    return slug, ref if at else PRODUCTION


def digest(data: Any) -> str:
    """SHA-256, in hex, of the data's canonical JSON: equal data has an equal digest."""
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
