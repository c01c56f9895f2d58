"""The chart of accounts. Debit is positive, credit negative."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class AccountKind(StrEnum):
    """What an account is for; its owner says whose it is."""

    BANK = "bank"  # what the bank holds on our instruction; the platform itself holds nothing
    BIDDER_WALLET = "bidder_wallet"  # owed to a bidder, free to use
    LOT_DEPOSIT_HELD = "lot_deposit_held"  # deposits bound to a lot
    BUYER_RECEIVABLE = "buyer_receivable"  # what a buyer has paid in before the price is complete
    LOT_PROCEEDS = "lot_proceeds"  # the price, not divided yet
    FORFEIT_SUSPENSE = "forfeit_suspense"  # deposits lost by buyers who did not pay, not applied yet
    DISPOSAL_COSTS = "disposal_costs"
    LOAN_INTEREST = "loan_interest"
    LOAN_PRINCIPAL = "loan_principal"
    JUNIOR_CLAIMS = "junior_claims"
    PLEDGOR_SURPLUS = "pledgor_surplus"
    DEBTOR_SHORTFALL = "debtor_shortfall"  # what the debtor still owes after the sale
    TAX_FEES = "tax_fees"
    REFUNDS_PAYABLE = "refunds_payable"  # paid in excess, owed back


NEVER_OVERDRAWN = frozenset(
    {
        AccountKind.BIDDER_WALLET,
        AccountKind.LOT_DEPOSIT_HELD,
        AccountKind.BUYER_RECEIVABLE,
        AccountKind.LOT_PROCEEDS,
        AccountKind.FORFEIT_SUSPENSE,
        AccountKind.PLEDGOR_SURPLUS,
        AccountKind.REFUNDS_PAYABLE,
    }
)
"""Accounts that hold somebody's money: nobody takes out of them what is not in them."""

HOUSE = "house"


@dataclass(frozen=True, slots=True)
class Account:
    """The name of an account; it is made when something is first booked on it."""

    kind: AccountKind
    owner: str
    currency: str


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of an entry: debit positive, credit negative."""

    account: Account
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What is booked under one reference."""

    entry_id: int
    kind: str
    reference: str
    case_id: UUID | None
    lot_id: UUID | None
    actor: str
    reverses: int | None


def wallet(bidder_id: int, currency: str) -> Account:
    """Return the account of a bidder's free money."""
    return Account(AccountKind.BIDDER_WALLET, f"bidder:{bidder_id}", currency)


def refunds(bidder_id: int, currency: str) -> Account:
    """Return the account of what is owed back to a bidder."""
    return Account(AccountKind.REFUNDS_PAYABLE, f"bidder:{bidder_id}", currency)


def bank(currency: str) -> Account:
    """Return the account of the bank."""
    return Account(AccountKind.BANK, HOUSE, currency)


def of_lot(kind: AccountKind, lot_id: UUID, currency: str) -> Account:
    """Return an account of a lot."""
    return Account(kind, f"lot:{lot_id}", currency)


def of_case(kind: AccountKind, case_id: UUID, currency: str) -> Account:
    """Return an account of a disposal case."""
    return Account(kind, f"case:{case_id}", currency)
