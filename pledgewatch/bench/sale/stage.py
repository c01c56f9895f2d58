"""Lots and guests for a bench, made by the rooms' own functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from collateral.domain import Vehicle
from collateral.vehicles.store import upsert_vehicles
from core.clock import monotonic
from core.domain.money import Money
from core.errors import Unavailable
from core.policy.pack import load_pack
from pledgewatch import staging
from pledgewatch.bench.sale import store
from pledgewatch.embedded.pause import Pause

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from auction.domain import Lot
    from core.db.pool import Connection

PACK = load_pack("demo")
VALUE_MINOR = 10_000_000
START_MINOR = 7_000_000
RAISE_TICKS = 30
"""How far each bid's maximum lies above the one before: enough for it to count also when it is overtaken."""


@dataclass
class Stage:
    """Makes lots; every guest has money for twenty of them."""

    conn: Connection
    made: int = 0

    def invite(self, count: int) -> list[staging.Guest]:
        """Return new guests."""
        deposit = Money(PACK.deposit_minor(VALUE_MINOR), PACK.currency)
        with self.conn.transaction():
            return [
                staging.invite(self.conn, f"bench-{number:04d}", deposit=deposit) for number in range(count)
            ]

    def lot(
        self, guests: Sequence[staging.Guest], *, lasts: timedelta, window_ms: int = 0, drain_ms: int = 1_000
    ) -> Lot:
        """Return a published lot that opens at once, with the guests admitted."""
        self.made += 1
        vehicle_id = f"BENCH-{self.made:05d}"
        with self.conn.transaction():
            upsert_vehicles(self.conn, [Vehicle(vehicle_id=vehicle_id)])
            case = staging.stage_case(self.conn, vehicle_id, VALUE_MINOR, PACK)
            # Publishing moves the start to now; the bidding must still last what the pack asks for.
            draft = staging.draft_lot(
                self.conn, case.case_id, PACK, title=vehicle_id, start_minor=START_MINOR,
                lasts=lasts + timedelta(seconds=1),
            )  # fmt: skip
            store.set_draft_terms(self.conn, draft.lot_id, window_ms=window_ms, drain_ms=drain_ms)
            lot = staging.publish_lot(self.conn, draft.lot_id)
        with self.conn.transaction():
            for guest in guests:
                staging.admit(self.conn, lot, guest, PACK)
        return lot

    def await_state(self, lot_ids: Sequence[UUID], state: str, *, within_s: float = 60.0) -> float:
        """Wait until all of these lots are in a state (``decided``: any after the hammer); returns seconds.

        Raises:
            Unavailable: not in time.
        """
        wanted = {"hammered", "unsold"} if state == "decided" else {state}
        return self._await(
            lambda: set(store.states(self.conn, lot_ids)) <= wanted, f"{len(lot_ids)} lots {state}", within_s
        )

    def _await(self, ask: Callable[[], bool], what: str, within_s: float) -> float:
        began_s, pause = monotonic(), Pause(longest_s=0.05)
        while not ask():
            if monotonic() - began_s > within_s:
                raise Unavailable(f"Expected {what} within {within_s} s", code="bench_incomplete")
            pause()
        return monotonic() - began_s


def nth_maximum(number: int) -> int:
    """Return the maximum of the ``number``-th bid; each is above all before it."""
    return START_MINOR + number * RAISE_TICKS * PACK.tick_minor
