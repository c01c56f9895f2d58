"""SQL of consents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Consent:
    """What somebody agreed to."""

    party_id: str
    vehicle_id: str
    text_version: str
    text_sha256: bytes
    purposes: tuple[str, ...]
    signer: str
    channel: str
    given_at: datetime
    recorded_by: str
    revoked_at: datetime | None = None
    revoked_how: str | None = None
    consent_id: int = 0


_COLUMNS = (
    "party_id, vehicle_id, text_version, text_sha256, purposes, signer, channel, given_at, recorded_by,"
    " revoked_at, revoked_how, consent_id"
)


def _consent(row: Sequence[object]) -> Consent:
    values: list[object] = list(row)
    purposes = values[4]
    assert isinstance(purposes, list)  # noqa: S101 - a text[] column
    values[4] = tuple(purposes)
    return Consent(*values)  # type: ignore[arg-type]


def insert_consent(conn: Connection, consent: Consent) -> tuple[int, bool]:
    """Write a consent; returns its id and whether it was new."""
    row = conn.execute(
        "INSERT INTO consent (party_id, vehicle_id, text_version, text_sha256, purposes, signer, channel,"
        " given_at, recorded_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (party_id, vehicle_id, text_sha256, given_at) DO NOTHING RETURNING consent_id",
        (
            consent.party_id,
            consent.vehicle_id,
            consent.text_version,
            consent.text_sha256,
            list(consent.purposes),
            consent.signer,
            consent.channel,
            consent.given_at,
            consent.recorded_by,
        ),
    ).fetchone()
    if row is not None:
        return int(row[0]), True
    known = conn.execute(
        "SELECT consent_id FROM consent WHERE party_id = %s AND vehicle_id = %s AND text_sha256 = %s"
        " AND given_at = %s",
        (consent.party_id, consent.vehicle_id, consent.text_sha256, consent.given_at),
    ).fetchone()
    assert known is not None  # noqa: S101 - the insert found it
    return int(known[0]), False


def get_consent(conn: Connection, consent_id: int, *, lock: bool = False) -> Consent | None:
    """Return one consent, held against other writers where asked."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM consent WHERE consent_id = %s" + (" FOR UPDATE" if lock else ""),
        (consent_id,),
    ).fetchone()
    return _consent(row) if row else None


def consents_of_vehicle(conn: Connection, vehicle_id: str) -> list[Consent]:
    """Return the consents about a vehicle, newest first."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM consent WHERE vehicle_id = %s ORDER BY given_at DESC, consent_id DESC",
        (vehicle_id,),
    )
    return [_consent(row) for row in rows]


def set_revoked(conn: Connection, consent_id: int, at: datetime, how: str) -> None:
    """Mark a consent as revoked."""
    conn.execute(
        "UPDATE consent SET revoked_at = %s, revoked_how = %s WHERE consent_id = %s", (at, how, consent_id)
    )


def holds(conn: Connection, vehicle_id: str, purpose: str, at: datetime) -> bool:
    """Tell whether somebody's consent covered a purpose at a moment.

    The pledgor's alone counts where the vehicle has one: a borrower cannot agree for somebody else.
    """
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM consent c JOIN vehicle v USING (vehicle_id)"
        " WHERE c.vehicle_id = %(vehicle)s AND %(purpose)s = ANY(c.purposes) AND c.given_at <= %(at)s"
        " AND (c.revoked_at IS NULL OR c.revoked_at > %(at)s)"
        " AND (v.pledgor_id IS NULL OR v.pledgor_id = c.party_id))",
        {"vehicle": vehicle_id, "purpose": purpose, "at": at},
    ).fetchone()
    return bool(row and row[0])
