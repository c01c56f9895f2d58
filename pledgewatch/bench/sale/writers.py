"""Many connections bidding on one lot at once: through our function, and as people write it first."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg

from auction.bids.place import place_bid
from auction.domain import BidAccepted
from auction.timers.sweep import sweep
from core.clock import monotonic
from core.db.pool import Connection, connect
from core.errors import Unavailable
from pledgewatch.bench.sale import store
from pledgewatch.bench.sale.stage import nth_maximum

if TYPE_CHECKING:
    from auction.domain import Lot
    from pledgewatch.staging import Guest

Bid = Callable[[Connection, int, int], bool]
"""(connection, number of the writer, number of the bid) -> whether it counted."""
LAST_S = 0.3


@dataclass(frozen=True, slots=True)
class Rate:
    """What writers got through."""

    bids_per_s: float
    tried: int
    retried: int = 0


def pump(database_url: str, writers: int, seconds: float, bid: Bid) -> Rate:
    """Let so many connections bid for so long."""
    numbers = itertools.count(1)
    counts: Counter[str] = Counter()
    lock, begin = threading.Lock(), threading.Barrier(writers + 1)
    errors: list[BaseException] = []

    def work(writer: int) -> None:
        mine: Counter[str] = Counter()
        with connect(database_url, name="bench-writer", autocommit=True) as conn:
            begin.wait()
            until_s = monotonic() + seconds
            try:
                while monotonic() < until_s:
                    mine["tried"] += 1
                    try:
                        mine["counted"] += bid(conn, writer, next(numbers))
                    except (psycopg.errors.SerializationFailure, psycopg.errors.UniqueViolation):
                        mine["retried"] += 1
            except BaseException as exc:  # noqa: BLE001 - told to the caller below
                errors.append(exc)
        with lock:
            counts.update(mine)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    begin.wait()
    began_s = monotonic()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return Rate(counts["counted"] / (monotonic() - began_s), counts["tried"], counts["retried"])


def our_bid(lot: Lot, guests: Sequence[Guest]) -> Bid:
    """Bid through the function: one round trip, one transaction."""

    def bid(conn: Connection, writer: int, number: int) -> bool:
        answer = place_bid(
            conn, lot_id=lot.lot_id, bidder_id=guests[writer].bidder.bidder_id, max_minor=nth_maximum(number),
            confirm_high=True,
        )  # fmt: skip
        return isinstance(answer, BidAccepted)

    return bid


def separate_statements(conn: Connection, writer: int, number: int) -> bool:
    """Bid as BEGIN, SELECT FOR UPDATE, INSERT, INSERT, UPDATE, COMMIT: six round trips under the lock."""
    with conn.transaction():
        return _write(conn, writer, number, lock=True)


def serializable(conn: Connection, writer: int, number: int) -> bool:
    """Bid without a lock at SERIALIZABLE; who loses tries again."""
    conn.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    with conn.transaction():
        return _write(conn, writer, number, lock=False)


def _write(conn: Connection, writer: int, number: int, *, lock: bool) -> bool:
    seq, head, price_minor, best_minor = store.peer_lot(conn, lock=lock)
    max_minor = nth_maximum(number)
    if max_minor <= price_minor:
        return False
    body = f'{{"seq": {seq + 1}, "bidder": {writer}, "price_minor": {price_minor}}}'.encode()
    digest = hashlib.sha256(head + body).digest()
    store.peer_event(conn, seq + 1, body, digest)
    store.peer_bid(conn, seq + 1, writer, max_minor)
    price_minor, best_minor = min(max_minor, best_minor) or max_minor, max(max_minor, best_minor)
    store.peer_move(conn, seq + 1, digest, price_minor, writer, best_minor)
    return True


def storm(database_url: str, lot: Lot, guests: Sequence[Guest]) -> tuple[int, int]:
    """Bid from every guest's own connection until the end; returns (timely, refused though timely)."""
    counts: Counter[str] = Counter()
    lock, numbers = threading.Lock(), itertools.count(1)
    with connect(database_url, name="bench", autocommit=True) as conn:
        offset_s = store.database_offset_s(conn, monotonic())
    ends_s = lot.ends_at.timestamp() - offset_s

    def bidder(guest: Guest) -> None:
        mine: Counter[str] = Counter()
        with connect(database_url, name="bench-storm", autocommit=True) as conn:
            threading.Event().wait(max(0.0, ends_s - LAST_S - monotonic()))
            while monotonic() < ends_s:
                arrived_s = monotonic()
                refused = _refused_as_late(conn, lot, guest, nth_maximum(next(numbers)), arrived_s + offset_s)
                mine["timely"] += 1
                mine["refused"] += refused
        with lock:
            counts.update(mine)

    stop = threading.Event()
    closer = threading.Thread(target=_close, args=(database_url, stop))
    threads = [threading.Thread(target=bidder, args=(guest,)) for guest in guests]
    for thread in (closer, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    closer.join()
    return counts["timely"], counts["refused"]


def _refused_as_late(conn: Connection, lot: Lot, guest: Guest, max_minor: int, arrived_s: float) -> bool:
    try:
        answer = place_bid(
            conn, lot_id=lot.lot_id, bidder_id=guest.bidder.bidder_id, max_minor=max_minor, confirm_high=True,
            arrived_at=datetime.fromtimestamp(arrived_s, UTC),
        )  # fmt: skip
    except Unavailable:
        return True
    return not isinstance(answer, BidAccepted) and answer.code in {"lot_closed", "lot_closing"}


def _close(database_url: str, stop: threading.Event) -> None:
    """Sweep as the process does, until told to stop."""
    with connect(database_url, name="bench-sweeper", autocommit=True) as conn:
        while not stop.wait(0.02):
            sweep(conn)
