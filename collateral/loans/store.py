"""SQL of loans and payments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from collateral.domain import Payment
from collateral.loans.position import Received, Standing
from collateral.records import as_json

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class LoanRow:
    """A loan as stored: what it stands at, and the snapshot that it stands on."""

    loan_id: str
    vehicle_id: str
    borrower_id: str | None
    pledgor_id: str | None
    collateral_form: str
    currency: str
    principal_minor: int
    balance_minor: int
    days_past_due: int
    next_due_on: date | None
    status: str
    snapshot_at: datetime
    snapshot_balance_minor: int
    snapshot_days_past_due: int
    snapshot_next_due_on: date | None
    snapshot_status: str
    snapshot_covers_until: datetime | None

    @property
    def standing(self) -> Standing:
        """Return what the loan stands at."""
        return Standing(self.balance_minor, self.days_past_due, self.next_due_on, self.status)

    @property
    def snapshot(self) -> Standing:
        """Return what the snapshot said."""
        return Standing(
            self.snapshot_balance_minor,
            self.snapshot_days_past_due,
            self.snapshot_next_due_on,
            self.snapshot_status,
        )

    @property
    def covered(self) -> datetime:
        """Return until when payments are inside the snapshot's balance."""
        return self.snapshot_covers_until or self.snapshot_at


_COLUMNS = tuple(LoanRow.__dataclass_fields__)
_TYPED = (
    "loan_id text, vehicle_id text, borrower_id text, pledgor_id text, collateral_form text, currency text,"
    " principal_minor bigint, balance_minor bigint, days_past_due integer, next_due_on date, status text,"
    " snapshot_at timestamptz, snapshot_balance_minor bigint, snapshot_days_past_due integer,"
    " snapshot_next_due_on date, snapshot_status text, snapshot_covers_until timestamptz"
)
# Rows that change the vehicle or the form bump the facts of the rules (migration 0110); the rest must not.
_FACTS = ("vehicle_id", "collateral_form")
_FIGURES = tuple(name for name in _COLUMNS if name not in ("loan_id", *_FACTS))


def lock_loans(conn: Connection, loan_ids: Sequence[str]) -> dict[str, LoanRow]:
    """Return the stored ones of these loans, held in id order until the transaction ends."""
    rows = conn.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM loan WHERE loan_id = ANY(%s) ORDER BY loan_id FOR UPDATE",
        (list(loan_ids),),
    ).fetchall()
    return {row[0]: LoanRow(*row) for row in rows}


def get_loan(conn: Connection, loan_id: str) -> LoanRow | None:
    """Return one loan."""
    row = conn.execute(f"SELECT {', '.join(_COLUMNS)} FROM loan WHERE loan_id = %s", (loan_id,)).fetchone()
    return LoanRow(*row) if row else None


def loans_of_vehicle(conn: Connection, vehicle_id: str, *, hold: bool = False) -> list[LoanRow]:
    """Return the loans on a vehicle; with ``hold`` nobody changes them until the transaction ends."""
    rows = conn.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM loan WHERE vehicle_id = %s ORDER BY loan_id"
        f" {'FOR SHARE' if hold else ''}",
        (vehicle_id,),
    ).fetchall()
    return [LoanRow(*row) for row in rows]


def insert_loans(conn: Connection, loans: Sequence[LoanRow]) -> list[str]:
    """Write new loans; returns the ids written, without those that somebody else wrote meanwhile."""
    rows = conn.execute(
        f"INSERT INTO loan ({', '.join(_COLUMNS)}) SELECT {', '.join('r.' + name for name in _COLUMNS)}"
        f" FROM jsonb_to_recordset(%s::jsonb) AS r({_TYPED}) ORDER BY r.loan_id"
        " ON CONFLICT DO NOTHING RETURNING loan_id",
        (as_json(loans),),
    ).fetchall()
    return [row[0] for row in rows]


def update_figures(conn: Connection, loans: Sequence[LoanRow]) -> None:
    """Write everything of these loans but vehicle and form."""
    conn.execute(
        f"UPDATE loan l SET {', '.join(f'{name} = r.{name}' for name in _FIGURES)},"
        " version = l.version + 1, updated_at = now()"
        f" FROM jsonb_to_recordset(%s::jsonb) AS r({_TYPED}) WHERE l.loan_id = r.loan_id",
        (as_json(loans),),
    )


def update_facts(conn: Connection, loans: Sequence[LoanRow]) -> None:
    """Write vehicle and form of these loans."""
    conn.execute(
        f"UPDATE loan l SET {', '.join(f'{name} = r.{name}' for name in _FACTS)}"
        f" FROM jsonb_to_recordset(%s::jsonb) AS r({_TYPED}) WHERE l.loan_id = r.loan_id",
        (as_json(loans),),
    )


def payments_of(conn: Connection, loan_ids: Sequence[str]) -> dict[str, list[Received]]:
    """Return the payments of loans; of each loan in no particular order."""
    found: dict[str, list[Received]] = defaultdict(list)
    for row in conn.execute(
        "SELECT loan_id, payment_id, amount_minor, paid_at, days_past_due, next_due_on FROM loan_payment"
        " WHERE loan_id = ANY(%s)",
        (list(loan_ids),),
    ):
        found[row[0]].append(Received(*row[1:]))
    return found


def insert_payment(conn: Connection, payment: Payment) -> bool:
    """Write a payment; false when its id is stored already."""
    done = conn.execute(
        "INSERT INTO loan_payment"
        " (payment_id, loan_id, amount_minor, paid_at, days_past_due, next_due_on, source)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (payment_id) DO NOTHING",
        (
            payment.payment_id,
            payment.loan_id,
            payment.amount_minor,
            payment.paid_at,
            payment.days_past_due,
            payment.next_due_on,
            payment.source,
        ),
    )
    return done.rowcount == 1


def get_payment(conn: Connection, payment_id: str) -> Payment | None:
    """Return one payment in its loan's currency."""
    row = conn.execute(
        "SELECT p.payment_id, p.loan_id, p.amount_minor, l.currency, p.paid_at, p.days_past_due,"
        " p.next_due_on, p.source FROM loan_payment p JOIN loan l USING (loan_id) WHERE p.payment_id = %s",
        (payment_id,),
    ).fetchone()
    return Payment(*row) if row else None


def currencies_of(conn: Connection, loan_ids: Sequence[str]) -> dict[str, str]:
    """Return the currency of each stored one of these loans."""
    return dict(
        conn.execute(
            "SELECT loan_id, currency FROM loan WHERE loan_id = ANY(%s)", (list(loan_ids),)
        ).fetchall()
    )


def list_loans(
    conn: Connection,
    org_ids: Sequence[str],
    *,
    vehicle_id: str | None = None,
    overdue: bool = False,
    after: str | None = None,
    limit: int = 100,
) -> list[LoanRow]:
    """Return loans on vehicles of these branches, by loan id; ``after`` is the last id of the page before."""
    rows = conn.execute(
        f"SELECT {', '.join('l.' + name for name in _COLUMNS)} FROM loan l JOIN vehicle v USING (vehicle_id)"
        " WHERE v.org_id = ANY(%(orgs)s) AND (%(vehicle)s::text IS NULL OR l.vehicle_id = %(vehicle)s)"
        " AND (NOT %(overdue)s OR l.days_past_due > 0) AND (%(after)s::text IS NULL OR l.loan_id > %(after)s)"
        " ORDER BY l.loan_id LIMIT %(limit)s",
        {
            "orgs": list(org_ids),
            "vehicle": vehicle_id,
            "overdue": overdue,
            "after": after,
            "limit": limit,
        },
    ).fetchall()
    return [LoanRow(*row) for row in rows]
