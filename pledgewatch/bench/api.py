"""`bench api`: what staff read all day, through the real process, beside a bare route and plain SQL."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from alerts.findings.store import append
from alerts.intake import take_findings
from collateral.fleet import FleetDevice, FleetLoan, FleetParty, FleetVehicle
from collateral.provisioning import provision_fleet
from collateral.staff.access import create_token
from core.clock import WallClock, monotonic, to_ms, wall_now
from core.db.pool import Connection, connect
from core.domain.finding import Finding, Severity
from pledgewatch.bench.http.load import Answer, Call, all_good, run_load
from pledgewatch.bench.http.serving import serving
from pledgewatch.bench.http.store import bare_vehicles
from pledgewatch.bench.result import BenchResult, describe_machine, quantile

LIMIT = 50
BARE_MODULE = ("pledgewatch.bench.http.bare_api",)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    vehicles: int = 2_000
    alerts: int = 400
    lines: int = 16
    seconds: float = 8.0
    peer_seconds: float = 5.0
    sql_rounds: int = 400


LONG = Size(vehicles=20_000, alerts=4_000, seconds=45.0, peer_seconds=20.0, sql_rounds=2_000)


def bench_api(
    database_url: str,
    folder: Path,
    tell: Callable[[str], None],
    *,
    long: bool = False,
    size: Size | None = None,
) -> BenchResult:
    """Measure on a migrated, empty database; about half a minute, ``long`` about two."""
    size = size or (LONG if long else Size())
    with connect(database_url, name="bench", autocommit=True) as conn:
        tell(f"{size.vehicles:,} vehicles, {size.alerts:,} alerts")
        ids = _fill(conn, size)
        headers = {"Authorization": f"Bearer {create_token(conn, 'admin')}"}
        with serving(database_url, folder) as served:
            tell(f"reads of staff, {size.lines} in flight")
            mixed = _measure(served.port, _reads(ids, headers), size, size.seconds)
            listed = _measure(served.port, _only("/api/v1/vehicles", headers), size, size.peer_seconds)
        with serving(database_url, folder, name="bare", module=BARE_MODULE) as bare:
            tell("peer: a bare FastAPI route, pooled connections")
            pooled = _measure(bare.port, _only("/pooled", {}), size, size.peer_seconds)
            tell("peer: a bare FastAPI route, a connection for each request")
            naive = _measure(bare.port, _only("/connect", {}), size, size.peer_seconds)
        tell("peer: the SQL alone")
        alone = _sql_alone(conn, size.sql_rounds)
        figures = mixed | {f"vehicle_list_{name}": value for name, value in listed.items()}
        return BenchResult(
            bench="api",
            workload=(
                f"{size.lines} kept connections, one API process; vehicle list of {LIMIT}, vehicle, alerts "
                f"of {LIMIT}, cases, who am I; peers: the vehicle list of {LIMIT} alone"
            ),
            figures=figures,
            peers={"bare_route": pooled, "connection_per_request": naive, "sql_alone": alone},
            ratios={
                "bare_route": listed["requests_per_s"] / pooled["requests_per_s"],
                "connection_per_request": listed["requests_per_s"] / naive["requests_per_s"],
            },
            machine=describe_machine(conn),
        )


def _fill(conn: Connection, size: Size) -> list[str]:
    now = wall_now()
    fleet = [
        FleetVehicle(
            f"B{number:06d}",
            devices=(FleetDevice(f"bench-{number:06d}"),),
            plate=f"泽A{number:06d}",
            make="云驰",
            model=f"A{number % 9}",
            model_year=2018 + number % 7,
            pledgor=FleetParty(f"P{number}", f"抵押人{number}"),
            loan=FleetLoan(f"L{number}", 12_000_000, 8_000_000, now, days_past_due=number % 40),
        )
        for number in range(size.vehicles)
    ]
    ids = [vehicle.vehicle_id for vehicle in fleet]
    with conn.transaction():
        provision_fleet(conn, fleet)
    moment = to_ms(now - timedelta(minutes=5))
    findings = [
        Finding(
            vehicle_id=ids[number % len(ids)], rule="TOW_SUSPECTED", event="raise", event_ms=moment,
            detected_ms=moment, episode_ms=moment, severity=Severity.P2,
        )
        for number in range(size.alerts)
    ]  # fmt: skip
    with conn.transaction():
        append(conn, findings, now_ms=moment)
    while take_findings(conn, WallClock(), []):
        pass
    return ids


def _reads(ids: list[str], headers: dict[str, str]) -> Iterator[Call]:
    rng = random.Random(1)  # noqa: S311  which vehicle is asked for, not a secret
    paths: list[Callable[[], str]] = [
        lambda: f"/api/v1/vehicles?limit={LIMIT}",
        lambda: f"/api/v1/vehicles/{rng.choice(ids)}",
        lambda: f"/api/v1/alerts?limit={LIMIT}",
        lambda: f"/api/v1/vehicles/{rng.choice(ids)}",
        lambda: "/api/v1/cases",
        lambda: "/api/v1/me",
    ]
    return (Call("GET", path(), headers) for path in itertools.cycle(paths))


def _only(path: str, headers: dict[str, str]) -> Iterator[Call]:
    return itertools.repeat(Call("GET", f"{path}?limit={LIMIT}", headers))


def _measure(port: int, calls: Iterator[Call], size: Size, seconds: float) -> dict[str, float]:
    warm, _ = asyncio.run(run_load(port, calls, lines=size.lines, seconds=min(1.0, seconds)))
    all_good(warm)
    done, spent_s = asyncio.run(run_load(port, calls, lines=size.lines, seconds=seconds))
    all_good(done)
    return {"requests_per_s": len(done) / spent_s, "p95_ms": _p95_ms([answer for _, answer in done])}


def _p95_ms(answers: list[Answer]) -> float:
    return quantile([answer.took_ms for answer in answers], 0.95)


def _sql_alone(conn: Connection, rounds: int) -> dict[str, float]:
    times = []
    for _ in range(rounds):
        began_s = monotonic()
        bare_vehicles(conn, LIMIT)
        times.append((monotonic() - began_s) * 1e3)
    return {"requests_per_s": rounds / (sum(times) / 1e3), "p95_ms": quantile(times, 0.95)}
