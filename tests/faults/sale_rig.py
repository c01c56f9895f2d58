"""Around fault tests of the sale: API processes and the sweeper on one database, guests, a staged lot."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from auction.domain import Lot
from auction.lots.store import get_lot
from collateral.domain import Vehicle
from collateral.vehicles.store import upsert_vehicles
from core.clock import monotonic
from core.db.pool import Connection, connect
from core.domain.money import Money
from core.policy.pack import load_pack
from pledgewatch import staging
from pledgewatch.bench.http.serving import start_api, start_module
from pledgewatch.embedded.processes import Child

VALUE_MINOR = 10_000_000
PACK = replace(load_pack("demo"), min_duration=timedelta(seconds=1))
"""The demonstration's law, with lots that a test can wait for."""


@dataclass
class SaleRig:
    """Processes that may be killed, and the database that may not."""

    database_url: str
    folder: Path
    children: dict[str, Child] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    """Under which code each guest bids."""
    guests: list[staging.Guest] = field(default_factory=list)

    def connect(self) -> Connection:
        return connect(self.database_url, name="test", autocommit=True)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connect() as conn:
            return conn.execute(query.encode(), values).fetchall()

    def start_api(self, name: str = "api") -> str:
        """Start an API process (on the port it had before, if it had one) and return its address."""
        served = start_api(self.database_url, self.folder, name=name, port=self.ports.get(name, 0))
        self.children[name], self.ports[name] = served.child, served.port
        return f"http://127.0.0.1:{served.port}"

    def start_sweeper(self) -> Child:
        self.children["auction"] = start_module(
            ["auction"], self.database_url, self.folder, "auction", POLICY_PACK="demo"
        )
        return self.children["auction"]

    def close(self) -> None:
        for child in self.children.values():
            child.kill()

    def invite(self, count: int) -> list[staging.Guest]:
        """Make verified bidders with money for many deposits."""
        deposit = Money(PACK.deposit_minor(VALUE_MINOR), PACK.currency)
        with connect(self.database_url, name="test") as conn:
            return [staging.invite(conn, f"guest-{number:03d}", deposit=deposit) for number in range(count)]

    def stage(
        self, guests: list[staging.Guest], *, lasts: timedelta, vehicle: str = "V-SALE", **columns: int
    ) -> Lot:
        """Publish a lot that opens at once, on which the guests may bid; columns as they were before publishing."""
        with connect(self.database_url, name="test") as conn, pytest.MonkeyPatch.context() as patch:
            patch.setattr("auction.lots.actions.load_pack", lambda *_: PACK)
            upsert_vehicles(conn, [Vehicle(vehicle_id=vehicle)])
            case = staging.stage_case(conn, vehicle, VALUE_MINOR, PACK)
            lot = staging.draft_lot(
                conn, case.case_id, PACK, title="变卖车辆", start_minor=7_000_000, lasts=lasts
            )
            for name, value in columns.items():
                conn.execute(f"UPDATE lot SET {name} = %s WHERE lot_id = %s".encode(), (value, lot.lot_id))
            lot = staging.publish_lot(conn, lot.lot_id)
            for guest in guests:
                self.codes[guest.name] = staging.admit(conn, lot, guest, PACK).code
            conn.commit()
            return lot

    def lot(self, lot_id: UUID) -> Lot:
        with self.connect() as conn:
            return get_lot(conn, lot_id)

    def seconds_until(self, moment: datetime) -> float:
        """Return monotonic seconds at which the database's clock will show a moment."""
        [(left,)] = self.ask("SELECT extract(epoch FROM %s - clock_timestamp())::float", moment)
        return monotonic() + float(left)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bidder was told, with the server's own stamp of the arrival."""

    status: int
    code: str
    body: bytes
    arrived_at: datetime | None
    judged_at: datetime | None

    @classmethod
    def of(cls, status: int, body: bytes) -> Verdict:
        said = json.loads(body)
        facts = said.get("facts") or {}
        arrived = said.get("arrived_at") or facts.get("arrived_at")
        judged = said.get("server_time") or facts.get("decided_at")
        return cls(
            status,
            "" if status == 201 else said["code"],
            body,
            datetime.fromisoformat(arrived) if arrived else None,
            datetime.fromisoformat(judged) if judged else None,
        )
