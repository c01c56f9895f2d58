"""Bearer secrets: 256 random bits that we hand out once and keep only as a hash."""

from __future__ import annotations

import hashlib
import secrets

SECRET_BYTES = 32


def new_secret(prefix: str) -> str:
    """Return a secret; the prefix tells people (and leak scanners) what it is."""
    return f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"


def fingerprint(secret: str) -> bytes:
    """Return what is stored of a secret. Unsalted is enough: there is nothing to guess in 256 bits."""
    return hashlib.sha256(secret.encode()).digest()
