"""What follows when a lot ends, in the transaction that ends it. The caller holds the lot's row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auction.bidders import store as bidders
from auction.cases import actions as cases
from auction.cases.domain import CaseState
from auction.deposits import actions as deposits
from auction.lots import store as lots
from auction.settlement import booking
from auction.settlement import store as settlements
from auction.settlement.domain import SettlementState
from core.errors import PledgewatchError
from core.events.store import emit

if TYPE_CHECKING:
    from auction.domain import Lot
    from auction.settlement.domain import Settlement
    from core.db.pool import Connection


def hammered(conn: Connection, lot: Lot) -> Settlement:
    """The contract is made: losers get their deposits back, the buyer a settlement; tells `lot.hammered`."""
    if lot.price_minor is None or lot.hammered_at is None or lot.leader_id is None:
        raise PledgewatchError(f"Lot {lot.lot_id}: expected a price, a leader and a time, was {lot.state}")
    deposits.release_all_of_lot(conn, lot.lot_id, except_registration=lot.leader_id)
    bidders.release_losers(conn, lot.lot_id, lot.leader_id)
    bidders.set_state(conn, lot.leader_id, "winner")
    cases.move(conn, lot.case_id, CaseState.SOLD)
    settlement = booking.open_settlement(conn, lot)
    emit(
        conn,
        "lot.hammered",
        str(lot.lot_id),
        {
            "case_id": str(lot.case_id),
            "vehicle_id": lot.vehicle_id,
            "price_minor": lot.price_minor,
            "currency": lot.currency,
            "hammered_at": lot.hammered_at.isoformat(),
        },
    )
    return settlement


def ended_without_sale(conn: Connection, lot: Lot) -> None:
    """Unsold or withdrawn: every deposit goes back, the case may try again with a new lot."""
    deposits.release_all_of_lot(conn, lot.lot_id)
    bidders.release_losers(conn, lot.lot_id, None)
    cases.reopen(conn, lot.case_id)


def pay_by_passed(conn: Connection, lot: Lot) -> bool:
    """The day of payment is past: the buyer is in default. False when it was moved or the price is paid."""
    settlement = settlements.settlement_of_lot(conn, lot.lot_id, lock=True)
    if settlement is None or settlement.state != SettlementState.AWAITING_PAYMENT:
        lots.arm_timer(conn, lot.lot_id, None, None)
        return False
    if settlement.pay_by > lots.database_now(conn):
        lots.arm_timer(conn, lot.lot_id, settlement.pay_by, "pay_by")
        return False
    booking.default(conn, settlement, lot)
    return True
