"""A storm: many bidders aim at the last 300 ms of one lot while the sweeper closes it.

Somebody holds the lot's row from before the end until after the drain, as a slow flush does, so that bids
in time pile up behind it and the closer comes among them. Whoever then falls before the pile is judged has
refused bids that were in time.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from auction.bids.place import place_bid
from auction.domain import BidAccepted, Lot
from auction.lots.store import database_now, get_lot
from auction.timers.sweep import sweep
from core.db.pool import Connection, connect
from core.errors import Unavailable
from tests.auction.sales import OpenSale, open_sale
from tests.fix_stack import eventually

AIM_MS = 300
DRAIN_MS = 250
LEAD = timedelta(milliseconds=1_500)
"""From making the lot to its end: time for everybody to connect and to warm up."""

NO_FENCE = (
    "CREATE OR REPLACE FUNCTION auction_bid_fence(p_lot uuid) RETURNS void LANGUAGE plpgsql AS"
    " $$ BEGIN RETURN; END $$"
)


@dataclass
class Storm:
    """What came of it; ``refused`` are bids that arrived before the end and were not judged by price."""

    lot: Lot
    timely: int = 0
    refused: list[str] = field(default_factory=list)
    accepted: list[BidAccepted] = field(default_factory=list)


def rage(database_url: str, clients: int, seed: int) -> Storm:
    with connect(database_url, name="storm", autocommit=True) as conn:
        sale = open_sale(conn, clients, lasts=timedelta(hours=1), window_ms=0, drain_ms=DRAIN_MS)
        ready, go = threading.Barrier(clients + 2), threading.Event()
        answers: list[tuple[datetime, str, BidAccepted | None]] = []
        threads = [
            threading.Thread(
                target=_bidder,
                args=(database_url, sale, n, random.Random(seed * 1000 + n), ready, go, answers),
            )
            for n in range(clients)
        ]
        threads.append(threading.Thread(target=_holder, args=(database_url, sale, ready, go)))
        for thread in threads:
            thread.start()
        ready.wait(timeout=60)
        ends_at = database_now(conn) + LEAD
        conn.execute(
            "UPDATE lot SET ends_at = %s, planned_end_at = %s, next_timer_at = %s WHERE lot_id = %s",
            (ends_at, ends_at, ends_at + timedelta(milliseconds=DRAIN_MS), sale.lot_id),
        )
        go.set()
        lot = eventually(lambda: _close(conn, sale), within_s=60, what="the hammer")
        for thread in threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
    storm = Storm(lot)
    for arrived, code, accepted in answers:
        if accepted is not None:
            storm.accepted.append(accepted)
        if arrived < ends_at:
            storm.timely += 1
            if code in {"lot_closed", "lot_closing", "lot_not_open", "busy"}:
                storm.refused.append(code)
        else:
            assert accepted is None, "a bid after the end was accepted"
    return storm


def _close(conn: Connection, sale: OpenSale) -> Lot | None:
    sweep(conn)
    lot = sale.lot(conn)
    return lot if lot.decided else None


def _until(conn: Connection, moment: datetime) -> None:
    """Wait in the database, whose clock it is."""
    conn.execute("SELECT pg_sleep(greatest(0, extract(epoch FROM %s - clock_timestamp())))", (moment,))


def _holder(database_url: str, sale: OpenSale, ready: threading.Barrier, go: threading.Event) -> None:
    with connect(database_url, name="slow-flush", autocommit=True) as conn:
        ready.wait(timeout=60)
        go.wait(timeout=60)
        ends_at = sale.lot(conn).ends_at
        _until(conn, ends_at - timedelta(milliseconds=AIM_MS + 50))
        with conn.transaction():
            get_lot(conn, sale.lot_id, lock=True)
            _until(conn, ends_at + timedelta(milliseconds=DRAIN_MS + 250))


def _bidder(
    database_url: str,
    sale: OpenSale,
    n: int,
    chance: random.Random,
    ready: threading.Barrier,
    go: threading.Event,
    answers: list[tuple[datetime, str, BidAccepted | None]],
) -> None:
    with connect(database_url, name="storm-bidder", autocommit=True) as conn:
        sale.bid(conn, n, 100)  # too low; compiles the function in this session
        ready.wait(timeout=60)
        go.wait(timeout=60)
        _until(conn, sale.lot(conn).ends_at - timedelta(milliseconds=chance.uniform(0, AIM_MS)))
        yuan = 60_000 + 500 * chance.randrange(400)
        try:
            answer = place_bid(
                conn, lot_id=sale.lot_id, bidder_id=sale.bidders[n], max_minor=yuan * 100, mode="proxy"
            )
        except Unavailable as busy:
            answers.append((datetime.fromisoformat(str(busy.facts["arrived_at"])), "busy", None))
            return
        if isinstance(answer, BidAccepted):
            answers.append((answer.arrived_at, "", answer))
        else:
            answers.append((datetime.fromisoformat(answer.facts["arrived_at"]), answer.code, None))
