"""SQL of contacts, reveals and attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as listed: what it is and whose, never its value."""

    contact_id: int
    party_id: str
    kind: str
    label: str
    third_party: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SealedContact:
    """A contact ready to be stored."""

    party_id: str
    kind: str
    label: str
    ciphertext: bytes
    blind_index: bytes
    third_party: bool


@dataclass(frozen=True, slots=True)
class Reveal:
    """Somebody saw a value."""

    reveal_id: int
    contact_id: int
    actor: str
    purpose: str
    case_id: str | None
    revealed_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody tried to reach a party. Amounts are minor units."""

    party_id: str
    actor: str
    channel: str
    purpose: str
    outcome: str
    attempted_at: datetime
    contact_id: int | None = None
    vehicle_id: str | None = None
    case_id: str | None = None
    promise_on: date | None = None
    promise_minor: int | None = None
    promise_currency: str | None = None
    next_action: str | None = None
    next_action_on: date | None = None
    note: str = ""
    override_reason: str | None = None
    attempt_id: int = 0


_CONTACT = "contact_id, party_id, kind, label, third_party, created_at"
_ATTEMPT = tuple(name for name in Attempt.__dataclass_fields__ if name != "attempt_id")


def upsert_contacts(conn: Connection, contacts: Sequence[SealedContact]) -> list[bool]:
    """Write contacts; of each that was new or changed, whether it was new.

    A value that is stored keeps its ciphertext (it is another one each time), so that storing it again
    changes nothing; a removed one comes back.
    """
    if not contacts:
        return []
    rows = conn.execute(
        "INSERT INTO contact AS c (party_id, kind, label, ciphertext, blind_index, third_party)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bytea[], %s::bytea[], %s::boolean[])"
        " ON CONFLICT (party_id, kind, blind_index) DO UPDATE"
        " SET label = EXCLUDED.label, third_party = EXCLUDED.third_party, removed_at = NULL"
        " WHERE (c.label, c.third_party) IS DISTINCT FROM (EXCLUDED.label, EXCLUDED.third_party)"
        " OR c.removed_at IS NOT NULL RETURNING (xmax = 0)",
        (
            [contact.party_id for contact in contacts],
            [contact.kind for contact in contacts],
            [contact.label for contact in contacts],
            [contact.ciphertext for contact in contacts],
            [contact.blind_index for contact in contacts],
            [contact.third_party for contact in contacts],
        ),
    ).fetchall()
    return [row[0] for row in rows]


def contacts_of(conn: Connection, party_ids: Sequence[str]) -> list[Contact]:
    """Return the contacts of parties, without their values; third parties last."""
    rows = conn.execute(
        f"SELECT {_CONTACT} FROM contact WHERE party_id = ANY(%s) AND removed_at IS NULL"
        " ORDER BY third_party, party_id, kind, contact_id",
        (list(party_ids),),
    )
    return [Contact(*row) for row in rows]


def get_contact(conn: Connection, contact_id: int) -> tuple[Contact, bytes] | None:
    """Return a contact that was not removed, with its sealed value."""
    row = conn.execute(
        f"SELECT {_CONTACT}, ciphertext FROM contact WHERE contact_id = %s AND removed_at IS NULL",
        (contact_id,),
    ).fetchone()
    return (Contact(*row[:-1]), bytes(row[-1])) if row else None


def remove_contact(conn: Connection, contact_id: int) -> bool:
    """Take a contact off the lists; the log of who saw it stays."""
    done = conn.execute(
        "UPDATE contact SET removed_at = now() WHERE contact_id = %s AND removed_at IS NULL", (contact_id,)
    )
    return done.rowcount == 1


def parties_with(conn: Connection, kind: str, blind_index: bytes) -> list[str]:
    """Return the parties that share a value: one number under two names is a sign of fraud."""
    rows = conn.execute(
        "SELECT DISTINCT party_id FROM contact WHERE kind = %s AND blind_index = %s AND removed_at IS NULL"
        " ORDER BY party_id",
        (kind, blind_index),
    )
    return [row[0] for row in rows]


def insert_reveal(conn: Connection, contact_id: int, actor: str, purpose: str, case_id: str | None) -> None:
    """Log that somebody saw a value."""
    conn.execute(
        "INSERT INTO contact_reveal (contact_id, actor, purpose, case_id) VALUES (%s, %s, %s, %s)",
        (contact_id, actor, purpose, case_id),
    )


def reveals_of_party(conn: Connection, party_id: str) -> list[Reveal]:
    """Return who saw a party's values, newest first."""
    rows = conn.execute(
        "SELECT r.reveal_id, r.contact_id, r.actor, r.purpose, r.case_id, r.revealed_at"
        " FROM contact_reveal r JOIN contact c USING (contact_id)"
        " WHERE c.party_id = %s ORDER BY r.reveal_id DESC",
        (party_id,),
    )
    return [Reveal(*row) for row in rows]


def insert_attempt(conn: Connection, attempt: Attempt) -> int:
    """Write an attempt and return its id."""
    row = conn.execute(
        f"INSERT INTO contact_attempt ({', '.join(_ATTEMPT)})"
        f" VALUES ({', '.join(['%s'] * len(_ATTEMPT))}) RETURNING attempt_id",
        tuple(getattr(attempt, name) for name in _ATTEMPT),
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an insert has a row
    return int(row[0])


def list_attempts(
    conn: Connection,
    *,
    party_id: str | None = None,
    vehicle_id: str | None = None,
    case_id: str | None = None,
    limit: int = 100,
) -> list[Attempt]:
    """Return attempts of a party, about a vehicle or in a case, newest first."""
    rows = conn.execute(
        f"SELECT {', '.join(_ATTEMPT)}, attempt_id FROM contact_attempt"
        " WHERE (%(party)s::text IS NULL OR party_id = %(party)s)"
        " AND (%(vehicle)s::text IS NULL OR vehicle_id = %(vehicle)s)"
        " AND (%(case)s::text IS NULL OR case_id = %(case)s)"
        " ORDER BY attempted_at DESC, attempt_id DESC LIMIT %(limit)s",
        {"party": party_id, "vehicle": vehicle_id, "case": case_id, "limit": limit},
    )
    return [Attempt(*row) for row in rows]


def broken_promises(conn: Connection, vehicle_ids: Sequence[str], today: date) -> set[str]:
    """Return the vehicles whose latest promise to pay has passed with no payment since it was given."""
    rows = conn.execute(
        "SELECT DISTINCT a.vehicle_id FROM contact_attempt a"
        " WHERE a.vehicle_id = ANY(%s) AND a.outcome = 'promised' AND a.promise_on < %s"
        " AND NOT EXISTS (SELECT FROM contact_attempt later"
        "  WHERE later.vehicle_id = a.vehicle_id AND later.outcome = 'promised'"
        "  AND later.attempted_at > a.attempted_at)"
        " AND NOT EXISTS (SELECT FROM loan_payment p JOIN loan l USING (loan_id)"
        "  WHERE l.vehicle_id = a.vehicle_id AND p.paid_at >= a.attempted_at)",
        (list(vehicle_ids), today),
    )
    return {row[0] for row in rows}
