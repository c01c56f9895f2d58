"""`bench alerts`: from a finding in the log to a webhook that took the message, and a full inbox."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx
import msgspec

from alerts import store
from alerts.delivery.channels import open_channels
from alerts.findings.store import append
from alerts.intake import take_findings
from alerts.service import run_intake, run_sender
from collateral.domain import Vehicle
from collateral.vehicles.store import upsert_vehicles
from core.clock import WallClock, monotonic, to_ms, wall_now
from core.db.pool import Connection, connect
from core.domain.finding import Finding, Severity
from core.settings import Settings
from pledgewatch.bench.result import BenchResult, describe_machine, quantile
from pledgewatch.bench.store import count_deliveries

if TYPE_CHECKING:
    from collections.abc import Callable

RULE = "TOW_SUSPECTED"
WAIT_S = 60.0


@dataclass
class _Receiver:
    """A webhook on loopback that notes when each vehicle's message came."""

    url: str = ""
    arrivals: queue.Queue[tuple[str, float]] = field(default_factory=queue.Queue)


@contextmanager
def _receiver() -> Iterator[_Receiver]:
    got = _Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.arrivals.put((msgspec.json.decode(body)["alert"]["vehicle_id"], monotonic()))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing: thousands of lines would be measured too."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        server.server_close()


def bench_alerts(database_url: str, tell: Callable[[str], None], *, long: bool = False) -> BenchResult:
    """Measure on a migrated, empty database; about half a minute, ``long`` three times that."""
    singles = 300 if long else 100
    storm = 3_000 if long else 1_000
    with connect(database_url, name="bench", autocommit=True) as conn, _receiver() as receiver:
        tell(f"finding to webhook, {singles} one by one")
        ours, lost = _finding_to_webhook(conn, database_url, receiver, singles)
        tell("the same, naive: a POST inside the transaction of the finding")
        naive = _naive(conn, receiver, singles)
        tell(f"a storm of {storm} vehicles, five findings each")
        messages, intake_us = _storm(conn, storm)
        tell("inbox")
        inbox = _inbox_p95_ms(conn)
        figures = {
            "finding_to_webhook_p99_ms": quantile(ours, 0.99) * 1e3,
            "finding_to_webhook_p50_ms": quantile(ours, 0.50) * 1e3,
            "deliveries_lost": float(lost),
            "storm_messages": float(messages),
            "intake_us_per_finding": intake_us,
            "inbox_p95_ms": inbox,
        }
        peers = {
            "post_in_transaction": {
                "finding_to_webhook_p99_ms": quantile(naive, 0.99) * 1e3,
                "storm_messages": float(storm * 5),
            }
        }
        return BenchResult(
            bench="alerts",
            workload=f"{singles} single findings over HTTP; {storm} vehicles x 5 findings; inbox of 100",
            figures=figures,
            peers=peers,
            ratios={"storm_messages": storm * 5 / max(1, messages)},
            machine=describe_machine(conn),
        )


def _finding(vehicle_id: str, minute: int = 0) -> Finding:
    at = to_ms(wall_now() - timedelta(minutes=minute))
    return Finding(
        vehicle_id=vehicle_id,
        rule=RULE,
        event="raise",
        event_ms=at,
        detected_ms=at,
        episode_ms=at,
        severity=Severity.P1,
    )


def _add_vehicles(conn: Connection, prefix: str, count: int) -> list[str]:
    ids = [f"{prefix}{number:05d}" for number in range(count)]
    upsert_vehicles(conn, [Vehicle(vehicle_id=vehicle_id) for vehicle_id in ids])
    return ids


def _finding_to_webhook(
    conn: Connection, database_url: str, receiver: _Receiver, count: int
) -> tuple[list[float], int]:
    """Return seconds from the finding's commit to the webhook's receipt, and how many never came."""
    channels = open_channels(receiver.url, "bench-secret")
    stop = threading.Event()
    threads = [
        threading.Thread(target=run_intake, args=(Settings(), database_url, channels, stop)),
        threading.Thread(target=run_sender, args=(database_url, channels, stop)),
    ]
    for thread in threads:
        thread.start()
    delays, lost = [], 0
    try:
        for vehicle_id in _add_vehicles(conn, "one-", count):
            with conn.transaction():
                append(conn, [_finding(vehicle_id)], now_ms=to_ms(wall_now()))
            begun = monotonic()
            try:
                _, arrived = receiver.arrivals.get(timeout=WAIT_S)
                delays.append(arrived - begun)
            except queue.Empty:
                lost += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return delays, lost


def _naive(conn: Connection, receiver: _Receiver, count: int) -> list[float]:
    delays = []
    with httpx.Client(trust_env=False) as client:
        for vehicle_id in _add_vehicles(conn, "naive-", count):
            begun = monotonic()
            with conn.transaction():
                append(conn, [_finding(vehicle_id)], now_ms=to_ms(wall_now()))
                client.post(receiver.url, json={"alert": {"vehicle_id": vehicle_id}})
            delays.append(receiver.arrivals.get(timeout=WAIT_S)[1] - begun)
    return delays


def _storm(conn: Connection, vehicles: int) -> tuple[int, float]:
    """Return how many messages a storm asks for, and microseconds of intake per finding."""
    while take_findings(conn, WallClock(), []):
        pass  # what the naive peer left unread does not belong to the storm
    before = count_deliveries(conn)
    vehicle_ids = _add_vehicles(conn, "storm-", vehicles)
    with conn.transaction():
        append(
            conn,
            [_finding(vehicle_id, minute) for vehicle_id in vehicle_ids for minute in range(5)],
            now_ms=to_ms(wall_now()),
        )
    begun = monotonic()
    taken = 0
    while step := take_findings(conn, WallClock(), ["bench"]):
        taken += step
    spent = monotonic() - begun
    return count_deliveries(conn) - before, spent * 1e6 / max(1, taken)


def _inbox_p95_ms(conn: Connection) -> float:
    times = []
    for _ in range(200):
        begun = monotonic()
        store.list_alerts(conn, live_only=True, limit=100)
        times.append(monotonic() - begun)
    return quantile(times, 0.95) * 1e3
