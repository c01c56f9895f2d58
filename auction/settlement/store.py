"""SQL of settlements and payments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from auction.settlement.domain import Settlement, SettlementPayment
from core.errors import NotFound

if TYPE_CHECKING:
    from core.db.pool import Connection

_INVOICE_LOCK = (7710, 1)
"""Advisory lock (namespace, id): invoice numbers are given one after the other, so that none is missing."""
_COLUMNS = ", ".join(column.name for column in fields(Settlement))
_PAYMENT = ", ".join(column.name for column in fields(SettlementPayment))


def insert_settlement(
    conn: Connection,
    *,
    lot_id: UUID,
    case_id: UUID,
    registration_id: UUID,
    currency: str,
    price_minor: int,
    deposit_minor: int,
    pay_by: datetime,
) -> Settlement | None:
    """Open a settlement under the next invoice number; None when the lot has one."""
    conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", _INVOICE_LOCK)
    with conn.cursor(row_factory=class_row(Settlement)) as cursor:
        return cursor.execute(
            "INSERT INTO settlement (lot_id, case_id, registration_id, invoice_number, currency, price_minor,"
            " deposit_minor, due_minor, pay_by) VALUES (%(lot_id)s, %(case_id)s, %(registration_id)s,"
            " (SELECT coalesce(max(invoice_number), 0) + 1 FROM settlement), %(currency)s, %(price_minor)s,"
            " %(deposit_minor)s, %(price_minor)s::bigint - %(deposit_minor)s::bigint, %(pay_by)s)"
            f" ON CONFLICT (lot_id) DO NOTHING RETURNING {_COLUMNS}",
            {
                "lot_id": lot_id, "case_id": case_id, "registration_id": registration_id,
                "currency": currency, "price_minor": price_minor, "deposit_minor": deposit_minor,
                "pay_by": pay_by,
            },
        ).fetchone()  # fmt: skip


def get_settlement(conn: Connection, settlement_id: UUID, *, lock: bool = False) -> Settlement:
    """Return a settlement; with ``lock`` hold its row (the lot's row first).

    Raises:
        NotFound: there is none with this id.
    """
    found = _settlements(conn, f"WHERE settlement_id = %s {'FOR UPDATE' if lock else ''}", (settlement_id,))
    if not found:
        raise NotFound(
            f"Expected a settlement, there is none with id {settlement_id}", code="settlement_not_found"
        )
    return found[0]


def settlement_of_lot(conn: Connection, lot_id: UUID, *, lock: bool = False) -> Settlement | None:
    """Return the settlement of a lot."""
    found = _settlements(conn, f"WHERE lot_id = %s {'FOR UPDATE' if lock else ''}", (lot_id,))
    return found[0] if found else None


def list_settlements(
    conn: Connection,
    *,
    org_ids: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    before_number: int | None = None,
    limit: int = 100,
) -> list[Settlement]:
    """Return settlements, newest first; ``before_number`` is the last invoice number of the page before."""
    return _settlements(
        conn,
        "WHERE (%(orgs)s::text[] IS NULL OR case_id IN"
        " (SELECT c.case_id FROM disposal_case c WHERE c.org_id = ANY(%(orgs)s)))"
        " AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))"
        " AND (%(before)s::bigint IS NULL OR invoice_number < %(before)s)"
        " ORDER BY invoice_number DESC LIMIT %(limit)s",
        {
            "orgs": None if org_ids is None else list(org_ids),
            "states": None if states is None else list(states),
            "before": before_number,
            "limit": limit,
        },
    )


def _settlements(
    conn: Connection, where: str, values: Sequence[object] | Mapping[str, Any]
) -> list[Settlement]:
    with conn.cursor(row_factory=class_row(Settlement)) as cursor:
        return cursor.execute(f"SELECT {_COLUMNS} FROM settlement {where}", values).fetchall()


def set_state(conn: Connection, settlement_id: UUID, state: str) -> None:
    """Write the state, and when a payment or the end came, database time."""
    conn.execute(
        "UPDATE settlement SET state = %(state)s, version = version + 1,"
        " paid_at = CASE WHEN %(state)s = 'paid' THEN clock_timestamp() ELSE paid_at END,"
        " closed_at = CASE WHEN %(state)s = 'closed' THEN clock_timestamp() ELSE closed_at END"
        " WHERE settlement_id = %(id)s",
        {"state": state, "id": settlement_id},
    )


def set_pay_by(conn: Connection, settlement_id: UUID, pay_by: datetime) -> None:
    """Move the day of payment."""
    conn.execute(
        "UPDATE settlement SET pay_by = %s, version = version + 1 WHERE settlement_id = %s",
        (pay_by, settlement_id),
    )


def set_waterfall(conn: Connection, settlement_id: UUID, waterfall: Mapping[str, Any]) -> None:
    """Keep the division as it was booked."""
    conn.execute(
        "UPDATE settlement SET waterfall = %s, version = version + 1 WHERE settlement_id = %s",
        (Jsonb(dict(waterfall)), settlement_id),
    )


def set_release_code(conn: Connection, settlement_id: UUID, sha256: bytes | None) -> None:
    """Keep the hash of the release code; None: used up."""
    conn.execute(
        "UPDATE settlement SET release_code_sha256 = %s, version = version + 1 WHERE settlement_id = %s",
        (sha256, settlement_id),
    )


def release_code_sha256(conn: Connection, settlement_id: UUID) -> bytes | None:
    """Return the hash of the release code that is valid."""
    row = conn.execute(
        "SELECT release_code_sha256 FROM settlement WHERE settlement_id = %s", (settlement_id,)
    ).fetchone()
    return row[0] if row else None


def set_handed_over(conn: Connection, settlement_id: UUID, odometer_km: int, actor: str) -> None:
    """Write that the buyer has the vehicle."""
    conn.execute(
        "UPDATE settlement SET handed_over_at = clock_timestamp(), handed_over_by = %s, odometer_km = %s,"
        " release_code_sha256 = NULL, version = version + 1 WHERE settlement_id = %s",
        (actor, odometer_km, settlement_id),
    )


def insert_payment(
    conn: Connection,
    settlement_id: UUID,
    reference: str,
    amount_minor: int,
    received_at: datetime,
    actor: str,
) -> bool:
    """Write a payment; false when the bank's reference is known."""
    done = conn.execute(
        "INSERT INTO settlement_payment (settlement_id, reference, amount_minor, received_at, recorded_by)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (reference) DO NOTHING",
        (settlement_id, reference, amount_minor, received_at, actor),
    )
    return done.rowcount == 1


def payment_by_reference(conn: Connection, reference: str) -> SettlementPayment | None:
    """Return what was paid under a bank reference."""
    with conn.cursor(row_factory=class_row(SettlementPayment)) as cursor:
        return cursor.execute(
            f"SELECT {_PAYMENT} FROM settlement_payment WHERE reference = %s", (reference,)
        ).fetchone()


def payments_of(conn: Connection, settlement_id: UUID) -> list[SettlementPayment]:
    """Return the payments of a settlement in the order in which they were recorded."""
    with conn.cursor(row_factory=class_row(SettlementPayment)) as cursor:
        return cursor.execute(
            f"SELECT {_PAYMENT} FROM settlement_payment WHERE settlement_id = %s"
            " ORDER BY recorded_at, payment_id",
            (settlement_id,),
        ).fetchall()
