"""Whether the books are right: what must hold at every commit, asked of the whole ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from auction.ledger.checks import store
from auction.ledger.checks.store import Balance

if TYPE_CHECKING:
    from core.db.pool import Connection

__all__ = ["Balance", "BookCheck", "check_books", "trial_balance"]


@dataclass(frozen=True, slots=True)
class BookCheck:
    """The result; ``broken`` counts what violates each invariant."""

    entries: int
    postings: int
    balances: tuple[Balance, ...]
    broken: Mapping[str, int] = field(hash=False)

    @property
    def ok(self) -> bool:
        """Whether everything adds up."""
        return not any(self.broken.values()) and all(b.difference_minor == 0 for b in self.balances)


def trial_balance(conn: Connection) -> list[Balance]:
    """Return debits and credits of all accounts per currency; their difference must be zero."""
    return store.trial_balance(conn)


def check_books(conn: Connection) -> BookCheck:
    """Ask everything."""
    entries, postings = store.counts(conn)
    return BookCheck(
        entries,
        postings,
        tuple(store.trial_balance(conn)),
        {name: store.count_broken(conn, name) for name in store.INVARIANTS},
    )
