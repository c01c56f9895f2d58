"""A sale as the rooms make it: a vehicle in the yard, its case, a published lot, bidders with money."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from auction.bidders import actions as bidders
from auction.bidders.domain import Bidder, Registration
from auction.bids.place import place_bid
from auction.cases import actions as cases
from auction.cases.domain import NewAppraisal
from auction.cases.store import today
from auction.deposits import actions as deposits
from auction.domain import BidAccepted, Lot, LotTerms
from auction.ledger.check import check_books
from auction.lots import actions as lots
from auction.lots.store import database_now, get_lot
from auction.settlement import actions as settlements
from auction.settlement import store as settlement_store
from auction.settlement.domain import PaymentOutcome, Settlement
from auction.timers.sweep import sweep
from auction.title import actions as title
from collateral.fleet import FleetLoan, FleetParty, FleetVehicle
from collateral.provisioning import provision_fleet
from core.db.pool import Connection
from core.domain.money import Money
from core.policy.pack import load_pack

Answer = TypeVar("Answer")
PRINCIPAL = 6_000_000
"""What the loan of every scene still owes, in fen."""
APPRAISAL = 8_000_000
START = 6_000_000
DEPOSIT = 600_000
_numbers = itertools.count(1)


def cny(amount_minor: int) -> Money:
    return Money(amount_minor, "CNY")


@dataclass
class Scene:
    """One sale. ``conn`` is in autocommit mode; `do` is one transaction."""

    conn: Connection
    case_id: UUID
    vehicle_id: str
    lot_id: UUID | None = None
    people: list[tuple[Bidder, Registration]] = field(default_factory=list)
    code: str | None = None

    def ref(self, text: str) -> str:
        """A bank reference of this scene's own."""
        return f"{self.vehicle_id}-{text}"

    def do(self, action: Callable[..., Answer], *args: Any, **named: Any) -> Answer:
        with self.conn.transaction():
            return action(self.conn, *args, **named)

    def lot(self) -> Lot:
        assert self.lot_id is not None
        return get_lot(self.conn, self.lot_id)

    def settlement(self) -> Settlement:
        found = settlement_store.settlement_of_lot(self.conn, self.lot().lot_id)
        assert found is not None
        return found

    def publish(self, *, deposit_minor: int | None = DEPOSIT) -> Lot:
        """Draft, submit and publish a lot, and open it at once."""
        now = database_now(self.conn)
        terms = LotTerms("one car", START, now, now + timedelta(minutes=5), deposit_minor=deposit_minor)
        lot = self.do(lots.draft, self.case_id, terms, "user:anna")
        self.do(lots.submit, lot.lot_id, "user:anna")
        self.do(lots.publish, lot.lot_id, "user:bert")
        self.lot_id = lot.lot_id
        return self.do(lots.open_on_time, lot.lot_id)

    def come(self, *, wallet_minor: int = 10_000_000, hold: bool = True) -> int:
        """A verified bidder registers; returns their place in ``people``."""
        number = next(_numbers)
        bidder = self.do(bidders.bidder_of, f"user:bidder{number}", f"竞买人{number}")
        self.do(bidders.verify, bidder.bidder_id, "id-card", "user:anna")
        if wallet_minor:
            self.do(deposits.credit_wallet, bidder.bidder_id, cny(wallet_minor), f"in-{number}", "user:anna")
        lot = self.lot()
        terms = load_pack(lot.pack).terms_version
        registration = self.do(bidders.register, lot.lot_id, bidder, terms)
        if hold:
            self.do(deposits.hold, registration.registration_id, bidder.actor)
        self.people.append((bidder, registration))
        return len(self.people) - 1

    def bid(self, who: int, max_minor: int) -> BidAccepted:
        answer = self.do(
            place_bid, lot_id=self.lot().lot_id, bidder_id=self.people[who][0].bidder_id, max_minor=max_minor
        )
        assert isinstance(answer, BidAccepted), answer
        return answer

    def end(self) -> Lot:
        """Let the end of the lot be past, and the sweeper decide it."""
        self.conn.execute(
            "UPDATE lot SET starts_at = starts_at - interval '1 hour', planned_end_at = statement_timestamp() -"
            " interval '10 seconds', ends_at = statement_timestamp() - interval '10 seconds',"
            " next_timer_at = statement_timestamp() - interval '5 seconds' WHERE lot_id = %s",
            (self.lot_id,),
        )
        assert sweep(self.conn) == 1
        return self.lot()

    def let_pay_by_pass(self) -> Lot:
        self.conn.execute(
            "UPDATE settlement SET pay_by = clock_timestamp() - interval '1 second' WHERE lot_id = %s",
            (self.lot_id,),
        )
        self.conn.execute(
            "UPDATE lot SET next_timer_at = clock_timestamp() - interval '1 second' WHERE lot_id = %s",
            (self.lot_id,),
        )
        assert sweep(self.conn) == 1
        return self.lot()

    def pay(self, amount_minor: int, reference: str = "bank-1") -> PaymentOutcome:
        outcome = self.do(
            settlements.record_payment,
            self.settlement().settlement_id,
            self.ref(reference),
            cny(amount_minor),
            database_now(self.conn) - timedelta(seconds=1),
            "user:anna",
        )
        self.code = outcome.release_code or self.code
        return outcome

    def transfer(self) -> Lot:
        """Do every step of the checklist in its order."""
        settlement_id = self.settlement().settlement_id
        for step in title.steps(self.conn, settlement_id):
            self.do(title.set_step, settlement_id, step.step, "done", f"paper of {step.step}", "user:anna")
        return self.lot()

    def free(self, who: int) -> int:
        return deposits.balance(self.conn, self.people[who][0].bidder_id, "CNY").amount_minor


def sold(conn: Connection, *, price_minor: int = 7_000_000, deposit_minor: int = DEPOSIT) -> Scene:
    """A scene in which the first of two bidders has the hammer at about this price."""
    scene = staged(conn)
    scene.publish(deposit_minor=deposit_minor)
    scene.come()
    scene.come()
    scene.bid(1, START)
    scene.bid(0, price_minor)
    scene.do(place_exact, scene, price_minor)
    assert scene.end().state == "hammered"
    return scene


def place_exact(conn: Connection, scene: Scene, price_minor: int) -> None:
    """The loser drives the price to just below what the winner would pay at most."""
    answer = place_bid(
        conn, lot_id=scene.lot().lot_id, bidder_id=scene.people[1][0].bidder_id, max_minor=price_minor
    )
    assert isinstance(answer, BidAccepted)
    assert not answer.leading
    assert answer.price_minor == price_minor


def staged(conn: Connection, *, pack: str = "demo", **loan: Any) -> Scene:
    """A vehicle in the yard with an open case that has basis and appraisal."""
    number = next(_numbers)
    now = database_now(conn)
    facts: dict[str, Any] = {"days_past_due": 90, "status": "overdue"} | loan
    with conn.transaction():
        provision_fleet(
            conn,
            [
                FleetVehicle(
                    vehicle_id=f"V{number}",
                    custody="lender_yard",
                    pledgor=FleetParty(f"pledgor{number}", f"抵押人{number}"),
                    loan=FleetLoan(
                        f"L{number}", PRINCIPAL, PRINCIPAL, now - timedelta(days=1),
                        borrower=FleetParty(f"debtor{number}", f"债务人{number}"), **facts,
                    ),
                )
            ],
        )  # fmt: skip
        case = cases.open_by_staff(conn, f"V{number}", load_pack(pack), "user:anna")
    scene = Scene(conn, case.case_id, f"V{number}")
    day = today(conn, "Asia/Shanghai")
    scene.do(cases.set_basis, case.case_id, "contractual_self_sale", "contract 7", day, "user:anna")
    scene.do(
        cases.add_appraisal,
        case.case_id,
        NewAppraisal(APPRAISAL, "CNY", "manual", "user:appraiser", day),
        "user:anna",
    )
    return scene


def assert_books_right(conn: Connection) -> None:
    """The end of every money path: trial balance zero, nothing broken."""
    found = check_books(conn)
    assert found.ok, (found.balances, {name: rows for name, rows in found.broken.items() if rows})
