"""Fixtures around the real API process: a small town in two branches, served by uvicorn on a free port.

town     function  vehicles, loans, people, fences, reports, findings and alerts, written as the rooms write them
served   function  the API over the town: an HTTP client for each role
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.findings.store import append
from alerts.intake import take_findings
from api.app import create_app
from api.server import Server
from collateral.contacts.book import NewContact, add_contacts
from collateral.contacts.cipher import open_cipher
from collateral.fleet import FleetDevice, FleetLoan, FleetParty, FleetVehicle
from collateral.org.tree import save_unit
from collateral.provisioning import provision_fleet
from collateral.staff.access import create_token
from core.clock import WallClock, from_ms, to_ms, wall_now
from core.db.pool import Connection, connect, open_pool
from core.domain.finding import Finding, Severity
from core.domain.report import Report
from core.settings import Settings
from core.telemetry.partitions import Partitions
from core.telemetry.writing import store as writing
from geofence.editing import put_in_force
from geofence.fences import load_geojson
from tests.fix_stack import eventually

CENTRE = (30.2, 117.9)
SECOND_PLEDGE = (30.214, 117.93)
PLACES = """{"type": "FeatureCollection", "features": [
 {"type": "Feature", "id": "pawn-1", "properties": {"name": "城东二押点", "radius_m": 200},
  "geometry": {"type": "Point", "coordinates": [117.93, 30.214]}}]}"""


@dataclass
class Town:
    """What the town consists of, and how to make more of it happen."""

    database_url: str
    settings: Settings
    began: datetime
    tokens: dict[str, str] = field(default_factory=dict)

    def connect(self) -> Connection:
        return connect(self.database_url, name="town")

    def report(self, number: int, moment: datetime, **changes: Any) -> Report:
        """A position of vehicle V{number}, near the centre."""
        facts: dict[str, Any] = {
            "device_id": f"D{number}", "vehicle_id": f"V{number}", "t_ms": to_ms(moment), "boot_id": 1,
            "seq": to_ms(moment) // 1000, "type": "position", "received_ms": to_ms(moment) + 500,
            "fix_ms": to_ms(moment), "fix_valid": True, "lat": CENTRE[0] + number * 0.004,
            "lon": CENTRE[1] + number * 0.005, "speed_kmh": 30.0, "heading_deg": 45.0, "accuracy_m": 6.0,
            "ignition": True, "ext_power_v": 13.8, "sha256": b"\0" * 32,
        } | changes  # fmt: skip
        return Report(**facts)

    def store(self, *reports: Report) -> None:
        """Write reports as ingest does."""
        with self.connect() as conn:
            Partitions().ensure(conn, {from_ms(report.t_ms).date() for report in reports})
            conn.commit()
            writing.prepare(conn)
            writing.stage(conn, [(n, report, None) for n, report in enumerate(reports)])
            writing.insert_dated(conn)
            writing.upsert_latest(conn)
            writing.upsert_status(conn)

    def find(self, *findings: Finding) -> None:
        """Record findings and let the alerts process take them."""
        with self.connect() as conn:
            append(conn, list(findings), now_ms=to_ms(wall_now()))
        with connect(self.database_url, name="intake", autocommit=True) as conn:
            take_findings(conn, WallClock(), [])


def risk(vehicle: str, moment: datetime, rule: str = "RISK_PLACE_VISIT", **changes: Any) -> Finding:
    """A finding that becomes an alert."""
    facts: dict[str, Any] = {
        "vehicle_id": vehicle, "device_id": None, "rule": rule, "scope": "pawn-1", "event": "raise",
        "event_ms": to_ms(moment), "detected_ms": to_ms(moment), "episode_ms": to_ms(moment),
        "lat": SECOND_PLEDGE[0], "lon": SECOND_PLEDGE[1], "severity": Severity.P2,
        "evidence": {"name": "城东二押点", "category": "second_pledge", "stay_s": 900, "rule_version": 1},
    } | changes  # fmt: skip
    return Finding(**facts)


@pytest.fixture
def town(database_url: str, tmp_path: Path) -> Town:
    now = wall_now()
    settings = Settings(database_url=database_url, data_dir=tmp_path, http_port=0, _env_file=None)
    built = Town(database_url, settings, now)
    with built.connect() as conn:
        save_unit(conn, "east", "城东支行")
        save_unit(conn, "west", "城西支行")
        provision_fleet(conn, [_vehicle(number, now) for number in range(1, 9)])
        add_contacts(
            conn,
            open_cipher(settings),
            [NewContact(f"P{number}", "phone", f"1380013800{number}", "本人") for number in range(1, 9)],
        )
        put_in_force(conn, load_geojson(PLACES.encode(), "second_pledge").fences, now_ms=to_ms(now))
        for role in (
            "admin",
            "risk_analyst",
            "recovery",
            "auditor",
            "device_manager",
            "service",
            "disposal",
            "bidder",
        ):
            built.tokens[role] = create_token(conn, role)
        for branch in ("east", "west"):
            built.tokens[branch] = create_token(conn, "risk_analyst", org_id=branch)
    built.store(
        *[
            built.report(
                number, now - timedelta(minutes=minute), lat=CENTRE[0] + number * 0.004 + minute * 2e-4
            )
            for number in range(1, 9)
            for minute in (40, 30, 20, 10, 1)
        ]
    )
    built.find(
        risk("V1", now - timedelta(minutes=5)),
        risk(
            "V5", now - timedelta(minutes=9), "DEVICE_OFFLINE", scope="D5", severity=Severity.P3, evidence={}
        ),
    )
    return built


def _vehicle(number: int, now: datetime) -> FleetVehicle:
    pledgor = FleetParty(f"P{number}", f"抵押人{number:02d}")
    return FleetVehicle(
        vehicle_id=f"V{number}",
        devices=(FleetDevice(f"D{number}"),),
        plate=f"皖A0000{number}",
        make="骏驰",
        model="A6",
        model_year=2022,
        org_id="east" if number < 5 else "west",
        pledgor=pledgor,
        loan=FleetLoan(
            f"L{number}", 12_000_000, 8_000_000, now - timedelta(days=1), days_past_due=34 if number == 1 else 0,
            status="overdue" if number == 1 else "active", borrower=pledgor,
        ),
    )  # fmt: skip


@dataclass
class Served:
    """A running API."""

    town: Town
    base_url: str
    server: Server
    clients: dict[str, httpx.Client] = field(default_factory=dict)

    def stop(self) -> None:
        """Tell the server to end; again is nothing."""
        self.server.stop()

    def as_(self, who: str | None) -> httpx.Client:
        """Return a client with the token of a role (or of a branch's analyst); None: without any."""
        key = who or ""
        if key not in self.clients:
            headers = {"Purpose": "test"}
            if who is not None:
                headers["Authorization"] = f"Bearer {self.town.tokens[who]}"
            self.clients[key] = httpx.Client(base_url=self.base_url, headers=headers, timeout=20)
        return self.clients[key]


@pytest.fixture
def served(town: Town) -> Iterator[Served]:
    with open_pool(town.database_url, name="api-test", max_size=6) as pool:
        server = Server(create_app(town.settings, pool, WallClock()), host="127.0.0.1", port=0)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        eventually(lambda: server.started, what="the server listens")
        port = server.servers[0].sockets[0].getsockname()[1]
        running = Served(town, f"http://127.0.0.1:{port}", server)
        try:
            yield running
        finally:
            for client in running.clients.values():
                client.close()
            running.stop()
            thread.join(timeout=20)
            assert not thread.is_alive()
