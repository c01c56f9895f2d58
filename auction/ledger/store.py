"""SQL of the books."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.rows import class_row

from auction.ledger.domain import Account, AccountKind, Entry

if TYPE_CHECKING:
    from core.db.pool import Connection

_ENTRY = ", ".join(column.name for column in fields(Entry))


def account_ids(conn: Connection, accounts: Iterable[Account]) -> dict[Account, int]:
    """Return the id of each account, made now where there was none; in one order everywhere."""
    wanted = sorted(set(accounts), key=lambda account: (account.kind, account.owner, account.currency))
    keys = [[a.kind for a in wanted], [a.owner for a in wanted], [a.currency for a in wanted]]
    conn.execute(
        "INSERT INTO ledger_account (kind, owner, currency)"
        " SELECT w.kind, w.owner, w.currency"
        " FROM unnest(%s::text[], %s::text[], %s::text[]) AS w(kind, owner, currency)"
        " WHERE NOT EXISTS (SELECT FROM ledger_account a"
        "                   WHERE a.kind = w.kind AND a.owner = w.owner AND a.currency = w.currency)"
        " ON CONFLICT DO NOTHING",
        keys,
    )
    rows = conn.execute(
        "SELECT a.kind, a.owner, a.currency, a.account_id FROM ledger_account a"
        " JOIN unnest(%s::text[], %s::text[], %s::text[]) AS w(kind, owner, currency)"
        " ON a.kind = w.kind AND a.owner = w.owner AND a.currency = w.currency",
        keys,
    ).fetchall()
    return {Account(AccountKind(kind), owner, currency): number for kind, owner, currency, number in rows}


def lock_accounts(conn: Connection, ids: Sequence[int]) -> None:
    """Hold accounts, in id order, so that nobody else takes money out of them.

    NO KEY UPDATE: paying into them, which only reads the key, goes on meanwhile.
    """
    conn.execute(
        "SELECT FROM ledger_account WHERE account_id = ANY(%s) ORDER BY account_id FOR NO KEY UPDATE",
        (sorted(ids),),
    )


def balances_minor(conn: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Return the balance of each account, debit positive."""
    found: dict[int, int] = dict(
        conn.execute(
            "SELECT account_id, sum(amount_minor)::bigint FROM ledger_posting WHERE account_id = ANY(%s)"
            " GROUP BY account_id",
            (list(ids),),
        ).fetchall()
    )
    return {number: found.get(number, 0) for number in ids}


def balance_minor(conn: Connection, account: Account) -> int:
    """Return an account's balance, debit positive; 0 when nothing was ever booked on it."""
    row = conn.execute(
        "SELECT coalesce(sum(p.amount_minor), 0)::bigint FROM ledger_posting p JOIN ledger_account a"
        " USING (account_id) WHERE a.kind = %s AND a.owner = %s AND a.currency = %s",
        (account.kind, account.owner, account.currency),
    ).fetchone()
    return int(row[0]) if row else 0


def insert_entry(
    conn: Connection,
    kind: str,
    reference: str,
    case_id: UUID | None,
    lot_id: UUID | None,
    actor: str,
    reverses: int | None,
) -> int | None:
    """Begin an entry; None when its reference is in the books."""
    row = conn.execute(
        "INSERT INTO ledger_entry (kind, reference, case_id, lot_id, actor, reverses)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (reference) DO NOTHING RETURNING entry_id",
        (kind, reference, case_id, lot_id, actor, reverses),
    ).fetchone()
    return int(row[0]) if row else None


def insert_postings(conn: Connection, entry_id: int, lines: Sequence[tuple[int, int]]) -> None:
    """Write the (account id, amount) lines of an entry, and seal it."""
    conn.execute(
        "INSERT INTO ledger_posting (entry_id, account_id, amount_minor)"
        " SELECT %s, * FROM unnest(%s::bigint[], %s::bigint[])",
        (entry_id, [number for number, _ in lines], [amount_minor for _, amount_minor in lines]),
    )
    conn.execute(
        "INSERT INTO ledger_seal (entry_id, digest) VALUES (%(entry)s, ledger_digest(%(entry)s))",
        {"entry": entry_id},
    )


def entry_by_reference(conn: Connection, reference: str) -> Entry | None:
    """Return what is booked under a reference."""
    return _entry(conn, "reference = %s", reference)


def get_entry(conn: Connection, entry_id: int) -> Entry | None:
    """Return an entry."""
    return _entry(conn, "entry_id = %s", entry_id)


def _entry(conn: Connection, where: str, key: object) -> Entry | None:
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(f"SELECT {_ENTRY} FROM ledger_entry WHERE {where}", (key,)).fetchone()


def lines_of(conn: Connection, entry_id: int) -> list[tuple[Account, int]]:
    """Return the lines of an entry, those of one account added up, in account order."""
    rows = conn.execute(
        "SELECT a.kind, a.owner, a.currency, sum(p.amount_minor)::bigint FROM ledger_posting p"
        " JOIN ledger_account a USING (account_id) WHERE p.entry_id = %s"
        " GROUP BY a.kind, a.owner, a.currency ORDER BY a.kind, a.owner, a.currency",
        (entry_id,),
    ).fetchall()
    return [(Account(AccountKind(kind), owner, currency), amount) for kind, owner, currency, amount in rows]
