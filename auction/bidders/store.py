"""SQL of bidders, exclusions and registrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.rows import class_row

from auction.bidders.domain import Bidder, Exclusion, Registration
from core.errors import NotFound

if TYPE_CHECKING:
    from core.db.pool import Connection

_BIDDER = ", ".join(column.name for column in fields(Bidder))
_EXCLUSION = ", ".join(column.name for column in fields(Exclusion))
_REGISTRATION = ", ".join(column.name for column in fields(Registration))


def upsert_bidder(conn: Connection, actor: str, display_name: str) -> Bidder:
    """Return the bidder of an actor, made now if there was none; a known name stays."""
    conn.execute(
        "INSERT INTO bidder (actor, display_name) VALUES (%s, %s) ON CONFLICT (actor) DO NOTHING",
        (actor, display_name),
    )
    found = bidder_of_actor(conn, actor)
    assert found is not None  # noqa: S101 - inserted by the statement above, or before it
    return found


def bidder_of_actor(conn: Connection, actor: str) -> Bidder | None:
    """Return the bidder of an actor."""
    with conn.cursor(row_factory=class_row(Bidder)) as cursor:
        return cursor.execute(f"SELECT {_BIDDER} FROM bidder WHERE actor = %s", (actor,)).fetchone()


def get_bidder(conn: Connection, bidder_id: int) -> Bidder:
    """Return a bidder.

    Raises:
        NotFound: there is none with this id.
    """
    with conn.cursor(row_factory=class_row(Bidder)) as cursor:
        found = cursor.execute(f"SELECT {_BIDDER} FROM bidder WHERE bidder_id = %s", (bidder_id,)).fetchone()
    if found is None:
        raise NotFound(f"Expected a bidder, there is none with id {bidder_id}", code="bidder_not_found")
    return found


def list_bidders(conn: Connection, *, after: int = 0, limit: int = 100) -> list[Bidder]:
    """Return bidders by id; ``after`` is the last id of the page before."""
    with conn.cursor(row_factory=class_row(Bidder)) as cursor:
        return cursor.execute(
            f"SELECT {_BIDDER} FROM bidder WHERE bidder_id > %s ORDER BY bidder_id LIMIT %s", (after, limit)
        ).fetchall()


def set_kyc(conn: Connection, bidder_id: int, state: str, reference: str, actor: str) -> None:
    """Write what became of the identity check."""
    conn.execute(
        "UPDATE bidder SET kyc_state = %s, kyc_reference = %s, kyc_by = %s, kyc_at = clock_timestamp()"
        " WHERE bidder_id = %s",
        (state, reference, actor, bidder_id),
    )


def insert_exclusion(
    conn: Connection, bidder_id: int, case_id: UUID | None, reason: str, note: str, actor: str
) -> Exclusion:
    """Exclude a bidder from a case, or from every sale."""
    with conn.cursor(row_factory=class_row(Exclusion)) as cursor:
        row = cursor.execute(
            "INSERT INTO excluded_party (bidder_id, case_id, reason, note, recorded_by)"
            f" VALUES (%s, %s, %s, %s, %s) RETURNING {_EXCLUSION}",
            (bidder_id, case_id, reason, note, actor),
        ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an insert always has a row
    return row


def exclusion_in_force(conn: Connection, bidder_id: int, case_id: UUID) -> Exclusion | None:
    """Return why a bidder may not bid in a case, if so."""
    with conn.cursor(row_factory=class_row(Exclusion)) as cursor:
        return cursor.execute(
            f"SELECT {_EXCLUSION} FROM excluded_party WHERE bidder_id = %s AND lifted_at IS NULL"
            " AND (case_id IS NULL OR case_id = %s) ORDER BY exclusion_id LIMIT 1",
            (bidder_id, case_id),
        ).fetchone()


def list_exclusions(conn: Connection, bidder_id: int) -> list[Exclusion]:
    """Return the exclusions of a bidder, lifted ones too."""
    with conn.cursor(row_factory=class_row(Exclusion)) as cursor:
        return cursor.execute(
            f"SELECT {_EXCLUSION} FROM excluded_party WHERE bidder_id = %s ORDER BY exclusion_id",
            (bidder_id,),
        ).fetchall()


def appraised(conn: Connection, case_id: UUID, actor: str) -> bool:
    """Whether an actor appraised the vehicle of a case, or recorded an appraisal of it."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM appraisal WHERE case_id = %s AND (appraiser = %s OR recorded_by = %s))",
        (case_id, actor, actor),
    ).fetchone()
    return bool(row and row[0])


def roles_of_actor(conn: Connection, actor: str) -> list[str]:
    """Return the roles that stand behind ``user:LOGIN``, ``token:ID:NAME`` or ``link:ROLE``.

    Accounts and live tokens of the same name are the same person's (collateral/staff/persons.py).
    """
    kind, _, rest = actor.partition(":")
    if kind == "link":
        return [rest]
    number, _, name = rest.partition(":")
    if kind == "user":
        number, name = "", rest
    elif kind != "token" or not number.isdigit():
        return []
    rows = conn.execute(
        "SELECT unnest(roles) FROM user_account WHERE login = lower(btrim(%(name)s)) UNION"
        " SELECT role FROM api_token WHERE token_id = %(number)s::bigint"
        " OR (lower(btrim(name)) = lower(btrim(%(name)s)) AND revoked_at IS NULL)",
        {"name": name, "number": int(number) if number else None},
    ).fetchall()
    return [row[0] for row in rows]


def insert_registration(
    conn: Connection, lot_id: UUID, bidder_id: int, code: str, terms_version: str
) -> Registration | None:
    """Register; None when the bidder is registered or the code is taken."""
    with conn.cursor(row_factory=class_row(Registration)) as cursor:
        return cursor.execute(
            "INSERT INTO registration (lot_id, bidder_id, code, terms_version) VALUES (%s, %s, %s, %s)"
            f" ON CONFLICT DO NOTHING RETURNING {_REGISTRATION}",
            (lot_id, bidder_id, code, terms_version),
        ).fetchone()


def get_registration(conn: Connection, registration_id: UUID, *, lock: bool = False) -> Registration:
    """Return a registration; with ``lock`` hold its row.

    Raises:
        NotFound: there is none with this id.
    """
    found = _registrations(
        conn, f"WHERE registration_id = %s {'FOR UPDATE' if lock else ''}", (registration_id,)
    )
    if not found:
        raise NotFound(
            f"Expected a registration, there is none with id {registration_id}", code="registration_not_found"
        )
    return found[0]


def registration_of(conn: Connection, lot_id: UUID, bidder_id: int) -> Registration | None:
    """Return a bidder's registration at a lot."""
    found = _registrations(conn, "WHERE lot_id = %s AND bidder_id = %s", (lot_id, bidder_id))
    return found[0] if found else None


def registrations_of_lot(conn: Connection, lot_id: UUID, *, lock: bool = False) -> list[Registration]:
    """Return everybody registered at a lot."""
    return _registrations(
        conn,
        f"WHERE lot_id = %s ORDER BY created_at, registration_id {'FOR UPDATE' if lock else ''}",
        (lot_id,),
    )


def registrations_of_bidder(conn: Connection, bidder_id: int, *, limit: int = 100) -> list[Registration]:
    """Return where a bidder is registered, newest first."""
    return _registrations(
        conn, "WHERE bidder_id = %s ORDER BY created_at DESC, registration_id LIMIT %s", (bidder_id, limit)
    )


def live_registrations_of_bidder(
    conn: Connection, bidder_id: int, case_id: UUID | None = None
) -> list[Registration]:
    """Return where a bidder could still bid, in one case or everywhere."""
    return _registrations(
        conn,
        "WHERE bidder_id = %s AND state IN ('applied', 'eligible') AND lot_id IN"
        " (SELECT lot_id FROM lot WHERE state IN ('published', 'open', 'suspended')"
        "  AND (%s::uuid IS NULL OR case_id = %s)) ORDER BY lot_id",
        (bidder_id, case_id, case_id),
    )


def _registrations(conn: Connection, where: str, values: Sequence[object]) -> list[Registration]:
    with conn.cursor(row_factory=class_row(Registration)) as cursor:
        return cursor.execute(f"SELECT {_REGISTRATION} FROM registration {where}", values).fetchall()


def set_state(conn: Connection, registration_id: UUID, state: str, *, reason: str | None = None) -> None:
    """Write a registration's state."""
    conn.execute(
        "UPDATE registration SET state = %s, barred_reason = coalesce(%s, barred_reason),"
        " updated_at = clock_timestamp() WHERE registration_id = %s",
        (state, reason, registration_id),
    )


def release_losers(conn: Connection, lot_id: UUID, winner: UUID | None) -> None:
    """End the registrations of a decided lot: everybody but the winner goes, barred ones stay barred."""
    conn.execute(
        "UPDATE registration SET state = 'released', updated_at = clock_timestamp()"
        " WHERE lot_id = %s AND state IN ('applied', 'eligible') AND registration_id IS DISTINCT FROM %s",
        (lot_id, winner),
    )


def deposit_is_held(conn: Connection, registration_id: UUID) -> bool:
    """Whether the deposit of the lot is held for a registration, or the lot asks for none."""
    row = conn.execute(
        "SELECT l.deposit_minor = 0"
        " OR coalesce(h.state = 'pending' AND h.amount_minor >= l.deposit_minor, false)"
        " FROM registration r JOIN lot l USING (lot_id) LEFT JOIN deposit_hold h USING (registration_id)"
        " WHERE r.registration_id = %s",
        (registration_id,),
    ).fetchone()
    return bool(row and row[0])
