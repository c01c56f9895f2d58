"""SQL of the checks. Each query returns the rows that break its rule; none may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from auction.ledger.domain import NEVER_OVERDRAWN

if TYPE_CHECKING:
    from core.db.pool import Connection

_NEVER_OVERDRAWN = ", ".join(f"'{kind}'" for kind in sorted(NEVER_OVERDRAWN))
_ACCOUNTS = (
    "SELECT a.account_id, a.kind, a.owner, a.currency, coalesce(sum(p.amount_minor), 0) AS amount_minor"
    " FROM ledger_account a LEFT JOIN ledger_posting p USING (account_id)"
    " GROUP BY a.account_id, a.kind, a.owner, a.currency"
)
_LINES = (
    "SELECT e.reference, a.kind, a.owner, a.currency, sum(p.amount_minor) AS amount_minor"
    " FROM ledger_entry e JOIN ledger_posting p USING (entry_id) JOIN ledger_account a USING (account_id)"
    " GROUP BY e.entry_id, e.reference, a.account_id"
)

INVARIANTS: dict[str, str] = {
    "entries_do_not_add_up": (
        "SELECT e.entry_id FROM ledger_entry e LEFT JOIN ledger_posting p USING (entry_id)"
        " LEFT JOIN ledger_account a USING (account_id) GROUP BY e.entry_id, a.currency"
        " HAVING count(p.posting_id) = 0 OR sum(p.amount_minor) <> 0"
    ),
    "money_overdrawn": (
        f"SELECT account_id FROM ({_ACCOUNTS}) b WHERE amount_minor > 0 AND kind IN ({_NEVER_OVERDRAWN})"
    ),
    # What is held for a lot is exactly its pending holds, in both directions.
    "held_is_not_pending": (
        f"SELECT 1 FROM (SELECT owner, currency, -amount_minor AS held FROM ({_ACCOUNTS}) b"
        " WHERE kind = 'lot_deposit_held') h FULL JOIN (SELECT 'lot:' || lot_id AS owner, currency,"
        " sum(amount_minor) AS pending FROM deposit_hold WHERE state = 'pending' GROUP BY lot_id, currency) d"
        " USING (owner, currency) WHERE coalesce(h.held, 0) <> coalesce(d.pending, 0)"
    ),
    # A hold is placed by one entry and ended by at most one.
    "holds_not_ended_once": (
        "SELECT h.hold_id FROM deposit_hold h LEFT JOIN ledger_entry e"
        " ON e.reference IN ('hold:' || h.hold_id || ':voided', 'hold:' || h.hold_id || ':posted',"
        " 'hold:' || h.hold_id || ':forfeited')"
        " WHERE h.amount_minor > 0 GROUP BY h.hold_id, h.state"
        " HAVING count(e.entry_id) <> CASE h.state WHEN 'pending' THEN 0 ELSE 1 END"
    ),
    # Of a decided lot only the buyer's deposit is held, and only until it is paid.
    "held_after_the_end": (
        "SELECT h.hold_id FROM deposit_hold h JOIN lot l USING (lot_id) WHERE h.state = 'pending' AND"
        " (l.state IN ('unsold', 'withdrawn', 'paid', 'defaulted', 'transferred', 'handed_over', 'closed')"
        " OR (l.state = 'hammered' AND h.registration_id IS DISTINCT FROM l.leader_id))"
    ),
    "proceeds_are_not_the_price": (
        f"SELECT s.settlement_id FROM settlement s LEFT JOIN ({_ACCOUNTS}) b ON b.kind = 'lot_proceeds'"
        " AND b.owner = 'lot:' || s.lot_id AND b.currency = s.currency"
        " WHERE coalesce(-b.amount_minor, 0) <> CASE s.state WHEN 'paid' THEN s.price_minor ELSE 0 END"
    ),
    "payments_are_not_booked": (
        "SELECT p.payment_id FROM settlement_payment p LEFT JOIN"
        f" ({_LINES}) b ON b.reference = 'bank-in:' || p.reference AND b.kind = 'bank'"
        " WHERE b.amount_minor IS DISTINCT FROM p.amount_minor"
    ),
    # A balanced lie: somebody edited, moved or removed lines with the triggers off.
    "entries_were_changed": (
        "SELECT entry_id FROM ledger_entry FULL JOIN ledger_seal s USING (entry_id)"
        " WHERE s.digest IS DISTINCT FROM ledger_digest(entry_id)"
    ),
    "holds_are_not_as_placed": (
        "SELECT h.hold_id FROM deposit_hold h JOIN registration r USING (registration_id) LEFT JOIN"
        f" ({_LINES}) b ON b.reference = 'hold:' || h.hold_id || ':placed' AND b.kind = 'bidder_wallet'"
        " AND b.owner = 'bidder:' || h.bidder_id AND b.currency = h.currency"
        " WHERE coalesce(b.amount_minor, 0) <> h.amount_minor"
        " OR (h.lot_id, h.bidder_id) <> (r.lot_id, r.bidder_id)"
    ),
    # The chain of the lot says what the hammer made; settlement and lot may say nothing else.
    "settlements_are_not_the_hammer": (
        "SELECT s.settlement_id FROM settlement s JOIN lot l USING (lot_id)"
        " LEFT JOIN lot_event e ON e.lot_id = s.lot_id AND e.kind = 'lot.hammered'"
        " LEFT JOIN deposit_hold h ON h.registration_id = s.registration_id"
        " WHERE (e.payload ->> 'price_minor')::bigint IS DISTINCT FROM s.price_minor"
        " OR l.price_minor IS DISTINCT FROM s.price_minor OR l.leader_id IS DISTINCT FROM s.registration_id"
        " OR s.deposit_minor <> coalesce(h.amount_minor, 0)"
    ),
    "divisions_are_not_booked": (
        "SELECT s.settlement_id FROM settlement s"
        f" LEFT JOIN ({_LINES}) b ON b.reference = 'settlement:' || s.settlement_id || ':divided'"
        " AND b.kind = 'lot_proceeds'"
        " WHERE (s.state = 'closed') <> (s.waterfall IS NOT NULL) OR (s.state = 'closed' AND"
        "  ((s.waterfall ->> 'proceeds_minor')::bigint IS DISTINCT FROM s.price_minor"
        "   OR b.amount_minor IS DISTINCT FROM s.price_minor OR s.price_minor"
        "   + (s.waterfall ->> 'forfeited_minor')::bigint IS DISTINCT FROM"
        "   (SELECT sum((leg ->> 'gets_minor')::bigint)"
        "    FROM jsonb_array_elements(s.waterfall -> 'legs') leg)))"
    ),
    "invoice_numbers_have_gaps": (
        "SELECT 1 FROM (SELECT count(*) AS n, max(invoice_number) AS last FROM settlement) s"
        " WHERE n > 0 AND n <> last"
    ),
}


@dataclass(frozen=True, slots=True)
class Balance:
    """The trial balance of one currency."""

    currency: str
    debit_minor: int
    credit_minor: int

    @property
    def difference_minor(self) -> int:
        """Return debits less credits: zero, or the books are wrong."""
        return self.debit_minor - self.credit_minor


def trial_balance(conn: Connection) -> list[Balance]:
    """Return the debit and credit balances of all accounts, added up per currency."""
    rows = conn.execute(
        "SELECT currency, coalesce(sum(amount_minor) FILTER (WHERE amount_minor > 0), 0)::bigint,"
        " coalesce(-sum(amount_minor) FILTER (WHERE amount_minor < 0), 0)::bigint"
        f" FROM ({_ACCOUNTS}) b GROUP BY currency ORDER BY currency"
    ).fetchall()
    return [Balance(*row) for row in rows]


def counts(conn: Connection) -> tuple[int, int]:
    """Return how many entries and postings there are."""
    row = conn.execute(
        "SELECT (SELECT count(*) FROM ledger_entry), (SELECT count(*) FROM ledger_posting)"
    ).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has a row
    return int(row[0]), int(row[1])


def count_broken(conn: Connection, invariant: str) -> int:
    """Return how many rows break an invariant."""
    row = conn.execute(f"SELECT count(*) FROM ({INVARIANTS[invariant]}) broken").fetchone()
    return int(row[0]) if row else 0
