"""Consent to be located: given for named purposes in a text of which the hash is kept, and revocable."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from collateral.consents import store
from collateral.consents.store import Consent
from collateral.contacts.book import check_purpose
from core.errors import Conflict, NotFound, Rejected
from core.events.store import emit

if TYPE_CHECKING:
    from core.db.pool import Connection

CHANNELS = frozenset({"paper", "e_signature", "app", "counter"})


def text_hash(text: str) -> bytes:
    """Return the hash that pins the text somebody signed; line ends do not count."""
    return hashlib.sha256("\n".join(text.splitlines()).encode()).digest()


def give(conn: Connection, consent: Consent) -> Consent:
    """Record a consent; the same one again is the same row.

    Raises:
        Rejected: no purposes, an unknown purpose or channel, a malformed hash, an empty signer.
    """
    if not consent.purposes:
        raise Rejected("Consent: expected at least one purpose", code="bad_purpose")
    for purpose in consent.purposes:
        check_purpose(purpose)
    if consent.channel not in CHANNELS:
        raise Rejected(
            f"Consent: expected a channel of {', '.join(sorted(CHANNELS))}, was {consent.channel!r}",
            code="bad_channel",
        )
    if len(consent.text_sha256) != hashlib.sha256().digest_size:
        raise Rejected("Consent: expected the SHA-256 of the text", code="bad_text_hash")
    if not consent.signer.strip() or not consent.text_version.strip():
        raise Rejected("Consent: expected a signer and a text version, was empty", code="bad_consent")
    consent_id, new = store.insert_consent(conn, consent)
    if new:
        _tell(conn, consent.vehicle_id, consent_id, "given", consent.purposes)
    return replace(consent, consent_id=consent_id)


def revoke(conn: Connection, consent_id: int, *, at: datetime, how: str) -> Consent:
    """Record that a consent was taken back; again changes nothing.

    Raises:
        NotFound: no such consent. Conflict: it was given later than ``at``.
    """
    consent = store.get_consent(conn, consent_id, lock=True)
    if consent is None:
        raise NotFound(f"Consent {consent_id}: not registered", code="consent_not_found")
    if consent.revoked_at is not None:
        return consent
    if at < consent.given_at:
        raise Conflict(
            f"Consent {consent_id}: expected a time after it was given, was {at.isoformat()}",
            code="consent_order",
        )
    store.set_revoked(conn, consent_id, at, how)
    _tell(conn, consent.vehicle_id, consent_id, "revoked", consent.purposes)
    return replace(consent, revoked_at=at, revoked_how=how)


def _tell(conn: Connection, vehicle_id: str, consent_id: int, what: str, purposes: Sequence[str]) -> None:
    emit(
        conn,
        "consent.changed",
        vehicle_id,
        {"consent_id": consent_id, "what": what, "purposes": list(purposes)},
    )
