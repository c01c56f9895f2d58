"""The storage bench: on the store it is given, TimescaleDB or not; the columnstore's figure only there."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

import psutil

from core import wire
from core.clock import from_ms, monotonic, to_ms
from core.db.pool import Connection, connect
from core.db.timescale import detect
from core.domain.report import Report
from core.errors import Unavailable
from core.telemetry.partitions import Partitions
from core.telemetry.storage.chunks.columnstore import settle_chunks
from core.telemetry.storage.chunks.store import set_chunk_interval, totals
from core.telemetry.storage.rollups.refresh import refresh_rollups
from core.telemetry.storage.sizing import advise
from core.telemetry.writing import store as writing
from pledgewatch.bench.result import BenchResult, describe_machine
from pledgewatch.bench.storage import store
from simulator.fleet.plan import FleetPlan

SEED = 20261122
BEGIN = datetime(2026, 11, 2, tzinfo=UTC)
LONG_AFTER = BEGIN + timedelta(days=60)
AT_ONCE = 5_000
MEAN_PERIOD_S = 480
ROUND = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is stored."""

    devices: int = 100_000
    rounds: int = 12
    vehicles: int = 80
    days: int = 7
    repeats: int = 5


def bench_storage(database_url: str, tell: Callable[[str], None], *, size: Size | None = None) -> BenchResult:
    """Measure on a migrated, empty database; a few minutes.

    Raises:
        Unavailable: two ways of asking for the same did not find the same.
    """
    size = size or Size()
    with connect(database_url, name="bench", autocommit=True) as conn:
        machine = describe_machine(conn)
        figures = _columnstore(conn, tell, size)
        positions, peers = _last_positions(conn, tell, size)
    ratios = {f"last_position_{way}": told["last_position_ms"] / positions for way, told in peers.items()}
    # Against the best that the reports alone can do; a list of devices to walk along is a table of its own.
    ratio = min(ratios["last_position_distinct_on"], ratios["last_position_skip_scan"])
    return BenchResult(
        bench="storage",
        workload=(
            f"{size.devices:,} devices with {size.rounds} reports each, one in six hours, last position"
            f" of all, median of {size.repeats}; {size.vehicles} simulated vehicles over {size.days} days,"
            f" {int(figures['simulated_reports']):,} reports"
        ),
        figures=figures | {"last_position_ms": positions, "last_position_ratio": ratio},
        peers=peers,
        ratios=ratios,
        machine=machine,
    )


def _columnstore(conn: Connection, tell: Callable[[str], None], size: Size) -> dict[str, float]:
    """Store what a simulated fleet says, as ingest stores it; add it up, compress it."""
    tell(f"{size.vehicles} simulated vehicles over {size.days} days")
    plain = detect(conn).timescaledb is None
    if not plain:
        # As `telemetry chunks` would advise for a fleet that is parked most of its time.
        set_chunk_interval(conn, advise(size.vehicles, MEAN_PERIOD_S, psutil.virtual_memory().total).interval)
    reports = _simulated(size)
    partitions = Partitions(4_000)
    writing.prepare(conn)
    stored = 0
    while portion := sorted(islice(reports, AT_ONCE), key=lambda one: (one.device_id, *one.order)):
        with conn.transaction():
            partitions.ensure(conn, {from_ms(one.t_ms).date() for one in portion})
        with conn.transaction():
            writing.stage(conn, ((n, one, None) for n, one in enumerate(portion)))
            stored += len(portion) - len(writing.insert_dated(conn))
            writing.upsert_latest(conn)
            writing.upsert_status(conn)
    began = monotonic()
    refresh_rollups(conn, LONG_AFTER)
    figures = {
        "simulated_reports": float(stored),
        "rollup_us_per_report": (monotonic() - began) / stored * 1e6,
    }
    if plain:
        return figures
    tell(f"compressing {stored:,} reports")
    began = monotonic()
    settle_chunks(conn, LONG_AFTER)
    packed = totals(conn)
    return figures | {
        "compression_ratio": packed.bytes_before / packed.bytes_after,
        "bytes_per_report_before": packed.bytes_before / stored,
        "bytes_per_report_after": packed.bytes_after / stored,
        "compress_us_per_report": (monotonic() - began) / stored * 1e6,
    }


def _simulated(size: Size) -> Iterator[Report]:
    days_ms = size.days * 86_400_000
    plan = FleetPlan.scenario("day", SEED, size.vehicles, to_ms(BEGIN), days_ms)
    for said in plan.reports():
        if said.kind != "telemetry":
            continue
        message, ext = wire.decode(said.body)
        report = wire.to_report(
            message, received_ms=said.send_ms, sha256=wire.fingerprint(said.body), ext=ext
        )
        if to_ms(BEGIN) <= report.t_ms < to_ms(BEGIN) + days_ms:
            yield _of_vehicle(report, said.vehicle_id)


def _of_vehicle(report: Report, vehicle_id: str) -> Report:
    fields = {name: getattr(report, name) for name in Report.__struct_fields__}
    return Report(**(fields | {"vehicle_id": vehicle_id}))


def _last_positions(
    conn: Connection, tell: Callable[[str], None], size: Size
) -> tuple[float, dict[str, dict[str, float]]]:
    """Ask for the last position of every device: our table, and the ways people ask the reports."""
    tell(f"{size.devices:,} devices, {size.devices * size.rounds:,} reports")
    if detect(conn).timescaledb is not None:
        set_chunk_interval(conn, timedelta(days=1))
    begin = BEGIN + timedelta(days=30)
    with conn.transaction():
        Partitions(4_000).ensure(conn, {(begin + ROUND * n).date() for n in range(size.rounds + 1)})
    for number in range(size.rounds):
        store.add_round(conn, size.devices, number, begin + ROUND * number, ROUND)
    store.fill_latest(conn, size.rounds - 1)
    store.tidy(conn)
    answers, medians = {}, {}
    for way in store.LAST_POSITION:
        tell(f"last position: {way}")
        took = []
        for _ in range(size.repeats):
            began = monotonic()
            answers[way] = store.last_positions(conn, way)
            took.append((monotonic() - began) * 1e3)
        medians[way] = statistics.median(took)
    ours = answers["latest_table"]
    for way, answer in answers.items():
        if answer != ours:
            raise Unavailable(f"Expected {ours} of {way}, was {answer}", code="bench_incomplete")
    own = medians.pop("latest_table")
    return own, {way: {"last_position_ms": took} for way, took in medians.items()}
