"""`bench ingest`: processor time and latency of a message on its way into the database, beside naive ways.

Everything is the real thing: Mosquitto with the deployed rules, one MQTT connection per device, the
ingest process as `up` starts it, PostgreSQL with fsync on, every stream rule. Processor time is that
of process trees, divided by the reports sent; the publisher and the broker are told apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.clock import to_ms, wall_now
from core.db.pool import connect
from ingest.checking.check import CheckReport, check, read_log
from pledgewatch.bench import store
from pledgewatch.bench.flushing import flush_ms
from pledgewatch.bench.outage import LEAD_S, Outage, measure_outage
from pledgewatch.bench.receiving import OURS, RECEIVING_PEERS, run_receivers
from pledgewatch.bench.result import BenchResult, describe_machine, quantile, versions
from pledgewatch.bench.rig import BROKER, CONSUMER, DATABASE, IngestRig, Run, expect, vehicle_of
from pledgewatch.bench.workload import (
    CITY,
    DrivingFleet,
    Fields,
    circles,
    polygons,
    region,
    rounds,
    starts,
    wire_body,
)
from pledgewatch.embedded.broker import EmbeddedBroker
from pledgewatch.embedded.postgres import EmbeddedPostgres
from pledgewatch.embedded.processes import Child
from simulator.domain import DeviceReport
from simulator.publish.pace import SpeedPace

SEED = 20261122
CADENCE_MS = 30_000
WARM_ROUNDS = 2
"""What is paid once (index, caches, a state for each vehicle) is not a cost of the next message."""
PACED_SHARE, ALERT_SHARE, OUTAGE_SHARE = 0.5, 0.7, 0.3
BOOT, PACED_BOOT, ALERT_BOOT, OUTAGE_BOOT = 1, 2, 3, 4
ALARMED_SHARE = 5
"""One vehicle in so many has its tracker opened while alerts are timed."""
ALARM_RULE = "DEVICE_REMOVED"
STORING_PEERS = ("insert_per_message", "executemany")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is sent."""

    devices: int = 500
    reports: int = 20_000
    peer_reports: int = 4_000
    receive_reports: int = 20_000
    receive_rounds: int = 3
    paced_s: float = 10.0
    outage_s: float = 10.0
    polygons: int = 200
    circles: int = 200


LONG = Size(reports=100_000, peer_reports=10_000, paced_s=60.0, outage_s=600.0)


def bench_ingest(
    server: EmbeddedPostgres,
    broker: EmbeddedBroker,
    tell: Callable[[str], None],
    *,
    long: bool = False,
    size: Size | None = None,
) -> BenchResult:
    """Measure on a migrated, empty database and a broker of its own; about three minutes.

    The server needs ``track_commit_timestamp``.

    Raises:
        Unavailable: a process did not start, finish in time, or do what it was to do; says which.
    """
    size = size or (LONG if long else Size())
    rig = IngestRig(server, broker, connect(server.dsn, name="bench", autocommit=True))
    try:
        machine = describe_machine(rig.conn) | versions("paho-mqtt", "psycopg", "shapely", "numpy")
        return _Bench(rig, tell, size).run(machine | {"broker": broker.how})
    finally:
        rig.conn.close()


@dataclass(frozen=True, slots=True)
class _Plan:
    planned_ms: int
    reports: list[DeviceReport]


@dataclass(frozen=True, slots=True)
class _Paced:
    reports: list[DeviceReport]
    late_ms: float


@dataclass(frozen=True, slots=True)
class _Alarms:
    sent: int
    delays: list[float]


class _Bench:
    def __init__(self, rig: IngestRig, tell: Callable[[str], None], size: Size) -> None:
        self._rig, self._tell, self._size = rig, tell, size
        rng = np.random.default_rng(SEED)
        self._fences = [
            region(CITY),
            *polygons(rng, size.polygons, CITY, "second_pledge", radius_m=(100.0, 1_000.0)),
            *circles(rng, size.circles, CITY, "used_car_market"),
        ]
        self._fleet = DrivingFleet(rng, *starts(rng, size.devices, CITY, self._fences[1:]))
        self._device_ids = [f"bench{number:05d}" for number in range(size.devices)]

    def run(self, machine: dict[str, str]) -> BenchResult:
        """Run the peers, then ours, on the same reports."""
        rig, size = self._rig, self._size
        rig.register(self._device_ids, self._fences)
        warm, reports = self._recent_reports()
        peers = self._run_peers(reports)
        ingest = rig.start_ingest()
        try:
            rig.through_ingest(ingest, warm)
            self._tell(f"ingest: {size.reports:,} reports, one per message, from {size.devices} devices")
            began_at = wall_now()
            first = rig.through_ingest(ingest, reports)
            per_batch = store.messages_per_batch(rig.conn, began_at)
            self._tell("the same again: every report a repeat")
            again = rig.through_ingest(ingest, reports)
            paced = self._paced(first.rate * PACED_SHARE, PACED_BOOT)
            delays = self._delays(paced)
            alarms = self._alarms(first.rate * ALERT_SHARE)
            outage, missed = self._outage(ingest, first.rate * OUTAGE_SHARE)
            checked = check(rig.conn, read_log(rig.acklog))
        finally:
            ingest.stop()
        expect(checked.duplicate, len(reports), "repeats recognised by ingest check")
        sent = len(warm) + len(reports) + len(paced.reports) + alarms.sent + missed
        expect(checked.stored, sent, "reports stored by ingest check")
        figures = _figures(first, again, delays, checked) | {
            "messages_per_batch": per_batch,
            "publish_to_alert_p50_ms": quantile(alarms.delays, 0.50),
            "publish_to_alert_p99_ms": quantile(alarms.delays, 0.99),
            "catchup_ratio": outage.catchup_ratio,
            "outage_rss_growth_mb": outage.rss_growth_mb,
            "cpu_us_receive_ack": peers[OURS].cpu_us[CONSUMER],
            "findings": float(store.count_findings(rig.conn)),
            "flush_ms": flush_ms(rig.folder / "flush-probe"),
        }
        return BenchResult(
            bench="ingest",
            workload=(
                f"{size.reports:,} reports of 220 bytes, one per PUBLISH (QoS 1), {size.devices} devices "
                f"with a connection each, {len(self._fences)} fences, all stream rules; storing peers "
                f"{size.peer_reports:,} of the same; {len(delays):,} paced at {PACED_SHARE:.0%} of "
                f"msgs_per_s, alerts at {ALERT_SHARE:.0%}, {size.outage_s:g} s without a database at "
                f"{OUTAGE_SHARE:.0%}"
            ),
            figures=figures,
            peers=_peer_figures(peers),
            ratios=_ratios(first, peers),
            machine=machine,
        )

    def _run_peers(self, reports: list[DeviceReport]) -> dict[str, Run]:
        few, many = reports[: self._size.peer_reports], reports[: self._size.receive_reports]
        peers = {}
        for kind in STORING_PEERS:
            self._tell(f"peer {kind}: {len(few):,} reports")
            store.empty_peer_table(self._rig.conn)
            peers[kind] = self._rig.through_consumer(kind, few)
            expect(store.count_peer_rows(self._rig.conn), len(few), f"rows of {kind}")
        return peers | run_receivers(self._rig, many, self._size.receive_rounds, self._tell)

    def _recent_reports(self) -> tuple[list[DeviceReport], list[DeviceReport]]:
        """Return what the fleet says every 30 seconds up to a minute ago: to warm up with, to measure."""
        size = self._size
        count = WARM_ROUNDS - (-size.reports // size.devices)
        start_ms = to_ms(wall_now()) - (count + 2) * CADENCE_MS
        made = [
            self._report(number, BOOT, seq, t_ms, said)
            for seq, (t_ms, told) in enumerate(rounds(self._fleet, count, start_ms, CADENCE_MS))
            for number, said in enumerate(told)
        ]
        begin = WARM_ROUNDS * size.devices
        return made[:begin], made[begin : begin + size.reports]

    def _report(self, number: int, boot_id: int, seq: int, t_ms: int, said: Fields) -> DeviceReport:
        device_id = self._device_ids[number]
        body = wire_body(device_id, boot_id, seq, t_ms, said)
        return DeviceReport(t_ms, t_ms, vehicle_of(device_id), device_id, boot_id, seq, "telemetry", body)

    def _plan(self, rate: float, boot_id: int, seconds: float, *, alarmed: bool = False) -> _Plan:
        """Return what the fleet says at a rate from now on, each report due at its ``t``."""
        devices = self._size.devices
        round_s = devices / rate
        rounds_ = max(1, round(seconds / round_s))
        planned_ms = to_ms(wall_now())
        reports = []
        for seq in range(rounds_):
            for number, said in enumerate(self._fleet.step(round_s)):
                t_ms = planned_ms + round((seq + number / devices) * round_s * 1000.0)
                opened = alarmed and number % ALARMED_SHARE == 0 and seq == number // ALARMED_SHARE % rounds_
                words: Fields = {"alarms": ["shell_open"]} if opened else {}
                reports.append(self._report(number, boot_id, seq, t_ms, said | words))
        return _Plan(planned_ms, reports)

    def _send(self, plan: _Plan) -> float:
        """Publish each report when it is due; return how many ms later than planned that began."""
        started_ms = 0

        def begin() -> None:
            nonlocal started_ms
            self._rig.await_stored()
            started_ms = to_ms(wall_now())

        self._rig.publish(plan.reports, SpeedPace(plan.planned_ms, 1.0), self._rig.acklog, begin)
        self._rig.await_stored()
        return float(started_ms - plan.planned_ms)

    def _paced(self, rate: float, boot_id: int) -> _Paced:
        self._tell(f"paced at {rate:,.0f} reports/s for {self._size.paced_s:g} s")
        plan = self._plan(rate, boot_id, self._size.paced_s)
        return _Paced(plan.reports, self._send(plan))

    def _delays(self, paced: _Paced) -> list[float]:
        """Return milliseconds from when each report was due to its commit."""
        return [delay - paced.late_ms for delay in store.event_to_commit_ms(self._rig.conn, PACED_BOOT)]

    def _alarms(self, rate: float) -> _Alarms:
        """Return milliseconds from when each alarm was due to its alert's row."""
        self._tell(f"alerts at {rate:,.0f} reports/s for {self._size.paced_s:g} s")
        alerts = self._rig.start_alerts()
        try:
            plan = self._plan(rate, ALERT_BOOT, self._size.paced_s, alarmed=True)
            late_ms = self._send(plan)
            wanted = sum(b'"shell_open"' in report.body for report in plan.reports)
            self._rig.await_alerts(ALARM_RULE, wanted)
        finally:
            alerts.stop()
        delays = [delay - late_ms for delay in store.event_to_alert_ms(self._rig.conn, ALARM_RULE)]
        return _Alarms(len(plan.reports), delays)

    def _outage(self, ingest: Child, rate: float) -> tuple[Outage, int]:
        seconds = self._size.outage_s
        self._tell(f"{seconds:g} s without a database at {rate:,.0f} reports/s")
        plan = self._plan(rate, OUTAGE_BOOT, 2.0 * seconds + 2.0 * LEAD_S)
        outage = measure_outage(self._rig, ingest, plan.reports, SpeedPace(plan.planned_ms, 1.0), seconds)
        self._rig.await_stored()
        return outage, len(plan.reports)


def _figures(first: Run, again: Run, delays: list[float], checked: CheckReport) -> dict[str, float]:
    return {
        "cpu_us_per_msg": first.stored_us,
        "cpu_us_ingest": first.cpu_us[CONSUMER],
        "cpu_us_database": first.cpu_us[DATABASE],
        "cpu_us_broker": first.cpu_us[BROKER],
        "cpu_us_publisher": first.publisher_us,
        "msgs_per_s": first.rate,
        "publish_to_commit_p50_ms": quantile(delays, 0.50),
        "publish_to_commit_p99_ms": quantile(delays, 0.99),
        "replay_speed_ratio": again.rate / first.rate,
        "replay_cpu_us_per_msg": again.stored_us,
        "lost": float(checked.lost),
        "duplicate": float(checked.stored_twice),
        "ghost": float(checked.ghost),
    }


def _peer_figures(peers: dict[str, Run]) -> dict[str, dict[str, float]]:
    """Return the peers' figures under the names of ours; those that store nothing only receive."""
    figures = {
        name: {
            "cpu_us_per_msg": peers[name].stored_us,
            "cpu_us_ingest": peers[name].cpu_us[CONSUMER],
            "cpu_us_database": peers[name].cpu_us[DATABASE],
            "cpu_us_broker": peers[name].cpu_us[BROKER],
            "msgs_per_s": peers[name].rate,
        }
        for name in STORING_PEERS
    }
    return figures | {name: {"cpu_us_receive_ack": peers[name].cpu_us[CONSUMER]} for name in RECEIVING_PEERS}


def _ratios(ours: Run, peers: dict[str, Run]) -> dict[str, float]:
    ratios = {name: peers[name].stored_us / ours.stored_us for name in STORING_PEERS}
    receive = peers[OURS].cpu_us[CONSUMER]
    return ratios | {name: peers[name].cpu_us[CONSUMER] / receive for name in RECEIVING_PEERS}
