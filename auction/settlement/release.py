"""The release code: who has it may take the vehicle. Told once, kept as a hash, used up at the handover."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING
from uuid import UUID

from auction.bidders.domain import CODE_LETTERS
from auction.settlement import store

if TYPE_CHECKING:
    from core.db.pool import Connection

_LETTERS = 12


def new_code(conn: Connection, settlement_id: UUID) -> str:
    """Return a new code (60 random bits); an earlier one is no longer valid."""
    text = "".join(secrets.choice(CODE_LETTERS) for _ in range(_LETTERS))
    store.set_release_code(conn, settlement_id, _hash(settlement_id, text))
    return "-".join(text[at : at + 4] for at in range(0, _LETTERS, 4))


def matches(conn: Connection, settlement_id: UUID, code: str) -> bool:
    """Whether this is the valid code, however it is written."""
    expected = store.release_code_sha256(conn, settlement_id)
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    return expected is not None and hmac.compare_digest(expected, _hash(settlement_id, plain))


def _hash(settlement_id: UUID, text: str) -> bytes:
    return hashlib.sha256(f"{settlement_id}:{text}".encode()).digest()
