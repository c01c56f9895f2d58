"""Decided lots whose protocols are read, forged and verified.

protocols  module  (sold | kept, public | full) to the protocol
"""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from auction.bids.place import place_bid
from auction.domain import BidAccepted
from auction.lots.actions import open_on_time
from auction.lots.store import get_lot
from auction.protocol.export import export
from auction.timers import store as timers
from collateral.domain import Vehicle
from collateral.vehicles.store import upsert_vehicles
from core.db.pool import connect
from core.domain.money import Money
from core.errors import Conflict
from core.policy.pack import load_pack
from pledgewatch import staging
from tests.auction.protocol.forging import KEY
from tests.fix_stack import migrated_database

PACK = replace(load_pack("demo"), min_duration=timedelta(seconds=1))
"""The demonstration's law, with lots that a test can wait for."""


def staged_lot(
    conn, vehicle_id, *, bidders=4, lasts=timedelta(seconds=3), reserve_minor=None, window_ms=None
):
    upsert_vehicles(conn, [Vehicle(vehicle_id=vehicle_id)])
    case = staging.stage_case(conn, vehicle_id, 10_000_000, PACK)
    lot = staging.draft_lot(conn, case.case_id, PACK, title="变卖车辆", start_minor=7_000_000, lasts=lasts)
    if reserve_minor is not None or window_ms is not None:
        conn.execute(
            "UPDATE lot SET reserve_minor = %s, window_ms = coalesce(%s, window_ms) WHERE lot_id = %s",
            (reserve_minor, window_ms, lot.lot_id),
        )
    lot = staging.publish_lot(conn, lot.lot_id)
    guests = [
        staging.invite(conn, f"guest-{n}", deposit=Money(lot.deposit_minor, "CNY")) for n in range(bidders)
    ]
    for guest in guests:
        staging.admit(conn, lot, guest, PACK)
    return lot, guests


def fell(conn, lot):
    """Let the end pass (database time cannot be bent: the lot is moved) and decide."""
    conn.execute(
        "SELECT pg_sleep(greatest(0, extract(epoch FROM ends_at - clock_timestamp()) + drain_ms / 1000.0 + 0.02))"
        " FROM lot WHERE lot_id = %s",
        (lot.lot_id,),
    )
    timers.take_close_fence(conn, lot.lot_id)
    return timers.call_decide(conn, lot.lot_id, get_lot(conn, lot.lot_id).epoch)


def random_bids(conn, lot, guests, count, seed):
    rng = random.Random(seed)
    taken = 0
    for _ in range(count):
        now = get_lot(conn, lot.lot_id)
        amount = now.min_next_minor + rng.randint(0, 12) * lot.tick_minor
        answer = place_bid(
            conn,
            lot_id=lot.lot_id,
            bidder_id=rng.choice(guests).bidder.bidder_id,
            max_minor=amount,
            mode=rng.choice(["exact", "proxy"]),
            confirm_high=True,
        )
        taken += isinstance(answer, BidAccepted)
    return taken


def decided(conn, vehicle_id, *, seed=1, count=40, **options):
    lot, guests = staged_lot(conn, vehicle_id, **options)
    open_on_time(conn, lot.lot_id)
    taken = random_bids(conn, lot, guests, count, seed)
    # The last word: a maximum far above what anybody has to pay.
    last = get_lot(conn, lot.lot_id)
    place_bid(
        conn, lot_id=lot.lot_id, bidder_id=guests[0].bidder.bidder_id,
        max_minor=last.min_next_minor + 900 * lot.tick_minor, mode="proxy", confirm_high=True,
    )  # fmt: skip
    return lot, taken


@pytest.fixture(scope="module")
def protocols(postgres_server, template_db):
    """A sold lot and an unsold one with a reserve out of reach, as public and full protocols."""
    with (
        migrated_database(postgres_server, template_db, "protocol") as url,
        connect(url, name="test") as conn,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("auction.lots.actions.load_pack", lambda *_: PACK)
        sold, _ = decided(conn, "V-SOLD", window_ms=0)
        kept, _ = decided(conn, "V-KEPT", count=10, reserve_minor=90_000_000, window_ms=0)
        with pytest.raises(Conflict, match="Expected a lot that is decided"):
            export(conn, sold.lot_id, key=KEY)
        conn.commit()
        assert fell(conn, sold) == "hammered"
        assert fell(conn, kept) == "unsold"
        conn.commit()
        yield {
            (lot_name, view): export(conn, lot.lot_id, key=KEY, full=view == "full")
            for lot_name, lot in (("sold", sold), ("kept", kept))
            for view in ("public", "full")
        }
