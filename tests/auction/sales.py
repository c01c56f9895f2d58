"""Builders for auction tests: a vehicle with its case, a lot that is open, bidders that may bid."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from auction.bids.place import place_bid
from auction.domain import BidAccepted, BidRefused, Lot, Step
from auction.lots.store import database_now, get_lot
from core.db.pool import Connection

STEPS = (Step(0, 500_00), Step(100_000_00, 1_000_00))
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class OpenSale:
    """A lot that is open, and the bidders registered for it; ``bidders[n]`` has the code B{n}."""

    lot_id: UUID
    case_id: UUID
    bidders: tuple[int, ...]

    def lot(self, conn: Connection) -> Lot:
        return get_lot(conn, self.lot_id)

    def bid(self, conn: Connection, who: int, yuan: int, **others: Any) -> BidAccepted | BidRefused:
        return place_bid(
            conn, lot_id=self.lot_id, bidder_id=self.bidders[who], max_minor=yuan * 100, **others
        )


def accepted(answer: BidAccepted | BidRefused) -> BidAccepted:
    assert isinstance(answer, BidAccepted), answer
    return answer


def refused(answer: BidAccepted | BidRefused) -> BidRefused:
    assert isinstance(answer, BidRefused), answer
    return answer


def disposal_case(
    conn: Connection,
    *,
    basis: str | None = "contractual_self_sale",
    appraisal_yuan: int | None = 100_000,
    loan_status: str = "overdue",
    pack: str = "demo",
    valued_on: date | None = None,
) -> UUID:
    """A vehicle in the yard with its loan, case, basis and appraisal."""
    number = next(_numbers)
    vehicle_id = f"sale-{number}"
    conn.execute("INSERT INTO vehicle (vehicle_id, custody) VALUES (%s, 'lender_yard')", (vehicle_id,))
    conn.execute(
        "INSERT INTO loan (loan_id, vehicle_id, principal_minor, balance_minor, days_past_due, status, snapshot_at)"
        " VALUES (%s, %s, 8000000, 6000000, 90, %s, %s)",
        (f"loan-{vehicle_id}", vehicle_id, loan_status, datetime(2026, 1, 1, tzinfo=UTC)),
    )
    row = conn.execute(
        "INSERT INTO disposal_case (vehicle_id, loan_id, org_id, pack, pack_version, opened_by, basis_kind,"
        " basis_reference, basis_by) VALUES (%s, %s, 'head', %s, 1, 'opener', %s, %s, 'opener') RETURNING case_id",
        (vehicle_id, f"loan-{vehicle_id}", pack, basis, basis and "contract 7"),
    ).fetchone()
    assert row is not None
    if appraisal_yuan is not None:
        conn.execute(
            "INSERT INTO appraisal (case_id, value_minor, currency, method, appraiser, valued_on, recorded_by)"
            " VALUES (%s, %s, 'CNY', 'manual', 'appraiser', %s, 'opener')",
            (row[0], appraisal_yuan * 100, valued_on or database_now(conn).date()),
        )
    case_id: UUID = row[0]
    return case_id


def bidder(conn: Connection, actor: str) -> int:
    row = conn.execute(
        "INSERT INTO bidder (actor, display_name, kyc_state) VALUES (%s, %s, 'verified') RETURNING bidder_id",
        (actor, actor),
    ).fetchone()
    assert row is not None
    bidder_id: int = row[0]
    return bidder_id


def open_sale(
    conn: Connection, bidders: int = 3, *, lasts: timedelta = timedelta(minutes=30), **lot: Any
) -> OpenSale:
    """A lot that opened a minute ago, and the case of it; any column of ``lot`` may be given."""
    case_id = disposal_case(conn)
    now = database_now(conn)
    ends_at = now + lasts
    values: dict[str, Any] = {
        "case_id": case_id, "org_id": "head", "pack": "demo", "pack_version": 1, "title": "a car",
        "state": "open", "epoch": 3, "currency": "CNY", "start_minor": 60_000_00, "deposit_minor": 0,
        "tick_minor": 100_00, "steps": STEPS, "high_minor": 300_000_00, "window_ms": 60_000,
        "extension_ms": 60_000, "drain_ms": 1_000, "starts_at": now - timedelta(minutes=1), "ends_at": ends_at,
        "planned_end_at": ends_at, "published_at": now - timedelta(minutes=2), "drafted_by": "drafter",
        "edited_by": "drafter", "submitted_by": "submitter", "outage_guard_ms": 1_800_000,
        **lot,
    }  # fmt: skip
    values["steps"] = Jsonb(
        [{"from_minor": s.from_minor, "step_minor": s.step_minor} for s in values["steps"]]
    )
    if "ends_at" in lot and "planned_end_at" not in lot:
        values["planned_end_at"] = values["ends_at"]
    if values["state"] == "open":
        values["next_timer_at"] = values["ends_at"] + timedelta(milliseconds=values["drain_ms"])
        values["timer_kind"] = "end"
    conn.execute("UPDATE disposal_case SET state = 'selling' WHERE case_id = %s", (case_id,))
    row = conn.execute(
        f"INSERT INTO lot ({', '.join(values)}, vehicle_id) SELECT {', '.join(f'%({name})s' for name in values)},"
        " vehicle_id FROM disposal_case WHERE case_id = %(case_id)s RETURNING lot_id",
        values,
    ).fetchone()
    assert row is not None
    people = tuple(bidder(conn, f"bidder-{row[0]}-{n}") for n in range(bidders))
    for n, bidder_id in enumerate(people):
        conn.execute(
            "INSERT INTO registration (lot_id, bidder_id, code, state, terms_version)"
            " VALUES (%s, %s, %s, 'eligible', '1')",
            (row[0], bidder_id, f"B{n}"),
        )
    return OpenSale(row[0], case_id, people)
