"""`bench auction`: bids on one lot and on many, the closing, streams, kills, proofs, beside naive peers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auction.domain import Lot
from auction.protocol.document import read_protocol
from auction.protocol.export import export
from auction.protocol.signing import canonical
from auction.protocol.verify import check_chain, verify
from auction.timers.sweep import sweep
from core.clock import monotonic
from core.db.pool import Connection, connect
from core.errors import Unavailable
from core.policy.pack import load_pack
from pledgewatch.bench.flushing import flush_ms
from pledgewatch.bench.http.serving import Served, start_api, start_module
from pledgewatch.bench.result import BenchResult, describe_machine, versions
from pledgewatch.bench.sale import store
from pledgewatch.bench.sale.served import acknowledged_before_a_kill, hot_lot, mixed
from pledgewatch.bench.sale.stage import Stage
from pledgewatch.bench.sale.watchers import watch
from pledgewatch.bench.sale.writers import Rate, our_bid, pump, separate_statements, serializable, storm
from pledgewatch.staging import Guest

LEAST = timedelta(seconds=10)
"""What the demonstration's pack asks for; lots of a bench last no longer than they must."""
SHIPPED_DRAIN_MS = load_pack("cn-private").drain_ms
NAIVE_DRAIN_MS = 60
"""How long the closer without a fence waits for what is under way: a guess, as people make it."""
PEERS = {"separate_statements": separate_statements, "serializable": serializable}
MANY_STREAMS = "1000000"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    guests: int = 128
    writers: int = 16
    seconds: float = 4.0
    lines: int = 64
    lots: int = 16
    stormers: int = 64
    storms: int = 2
    watchers: int = 200
    watched_bids: int = 25
    kills: int = 1
    overdue: int = 100


LONG = Size(
    guests=256, seconds=12.0, lots=64, storms=6, watchers=2_000, watched_bids=60, kills=5, overdue=1_000
)  # fmt: skip


def bench_auction(
    database_url: str,
    folder: Path,
    tell: Callable[[str], None],
    *,
    long: bool = False,
    size: Size | None = None,
) -> BenchResult:
    """Measure on a migrated, empty database; about two minutes, ``long`` within twelve."""
    size = size or (LONG if long else Size())
    with connect(database_url, name="bench", autocommit=True) as conn:
        tell(f"{size.guests} guests")
        stage = Stage(conn)
        bench = _Bench(database_url, folder, tell, size, conn, stage, stage.invite(size.guests))
        figures: dict[str, float] = {"flush_ms": flush_ms(folder / "flush-probe")}
        figures |= bench.database()
        peers = bench.peers()
        figures |= bench.storms(SHIPPED_DRAIN_MS)
        peers["no_fence"] = bench.storms_without_fence()
        figures |= bench.over_http()
        figures |= bench.overdue()
        machine = describe_machine(conn) | versions("psycopg", "uvicorn", "fastapi")
    ours = figures["database_bids_per_s"]
    return BenchResult(
        bench="auction",
        workload=(
            f"one lot, {size.writers} connections for {size.seconds:.0f} s (database) and {size.lines} bids "
            f"in flight (HTTP, one API process); {size.lots} lots read and bid on 4:1; {size.stormers} "
            f"connections in the last 300 ms, {size.storms} lots (without the fence: closed {NAIVE_DRAIN_MS} "
            f"ms after the end); {size.kills} kills of the API; {size.overdue} "
            "overdue lots at a start of the sweeper; verify: reading and "
            "chain, replay: the whole proof"
        ),
        figures=figures,
        peers=peers,
        ratios={
            name: ours / peers[name]["database_bids_per_s"]
            for name in ("separate_statements", "serializable")
        },
        machine=machine,
    )


@dataclass(frozen=True, slots=True)
class _Bench:
    database_url: str
    folder: Path
    tell: Callable[[str], None]
    size: Size
    conn: Connection
    stage: Stage
    guests: list[Guest]

    def database(self) -> dict[str, float]:
        """Bids on one lot by the function, then the proof of everything that happened on it."""
        self.tell(f"one lot, {self.size.writers} connections, our function")
        lot = self._open(self.guests[: self.size.writers], lasts=LEAST + timedelta(seconds=self.size.seconds))
        rate = pump(self.database_url, self.size.writers, self.size.seconds, our_bid(lot, self.guests))
        self.tell("the protocol of that lot, checked")
        self._decide([lot])
        key = Ed25519PrivateKey.generate()
        content = canonical(export(self.conn, lot.lot_id, key=key))
        began_s = monotonic()
        _, protocol = read_protocol(content)
        faults, bodies = check_chain(protocol)
        chain_s = monotonic() - began_s
        began_s = monotonic()
        verdict = verify(content, key.public_key())
        whole_s = monotonic() - began_s
        if faults or not verdict.good:
            raise Unavailable(f"The protocol does not hold: {verdict.problems[0]}", code="bench_incomplete")
        return {
            "database_bids_per_s": rate.bids_per_s,
            "verify_events_per_s": len(bodies) / chain_s,
            "replay_events_per_s": verdict.events / whole_s,
        }

    def peers(self) -> dict[str, dict[str, float]]:
        """The same lot as people write it first, on tables of the same shape."""
        found = {}
        for name, bid in PEERS.items():
            self.tell(f"peer: {name}")
            store.make_peer_tables(self.conn)
            found[name] = _rates(pump(self.database_url, self.size.writers, self.size.seconds, bid))
        return found

    def storms(self, drain_ms: int) -> dict[str, float]:
        """Everybody at once in the last moment; none that was in time may be refused as late."""
        self.tell(f"{self.size.storms} storms of {self.size.stormers} connections")
        timely = refused = 0
        for _ in range(self.size.storms):
            lot = self._open(self.guests[: self.size.stormers], drain_ms=drain_ms)
            came, lost = storm(self.database_url, lot, self.guests[: self.size.stormers])
            self._decide([lot])
            timely, refused = timely + came, refused + lost
        return {"timely_bids": float(timely), "timely_bids_refused": float(refused)}

    def storms_without_fence(self) -> dict[str, float]:
        """The same without the closing fence."""
        store.without_fence(self.conn)
        try:
            return self.storms(NAIVE_DRAIN_MS)
        finally:
            store.with_fence(self.conn)

    def over_http(self) -> dict[str, float]:
        """Through the API process: a hot lot, many lots, streams, and a kill."""
        size = self.size
        figures: dict[str, float] = {}
        api = self._api()
        sweeper = start_module(["auction"], self.database_url, self.folder, "auction")
        try:
            self.tell(f"one lot over HTTP, {size.lines} in flight")
            lot = self._open(self.guests, lasts=LEAST + timedelta(seconds=size.seconds + 5))
            hot = hot_lot(api.port, lot, self.guests, lines=size.lines, seconds=size.seconds)
            figures |= {
                "one_lot_bids_per_s": hot.bids_per_s, "one_lot_p99_ms": hot.p99_ms,
                "one_lot_busy": float(hot.busy),
            }  # fmt: skip
            closed = [lot]
            self.tell(f"{size.lots} lots over HTTP")
            few = self.guests[: size.lines // 4]
            lasts = LEAST + timedelta(seconds=size.seconds + size.lots)
            lots = [self._open(few, lasts=lasts) for _ in range(size.lots)]
            rate, p95_ms, busy = mixed(api.port, lots, few, lines=size.lines // 2, seconds=size.seconds)
            figures |= {"mixed_requests_per_s": rate, "mixed_p95_ms": p95_ms, "mixed_busy": float(busy)}
            closed += lots
            self.tell(f"{size.watchers} watchers")
            lot = self._open(few, lasts=LEAST + timedelta(seconds=60))
            opened, last_ms = watch(
                api.port, lot, few, watchers=size.watchers, bids=size.watched_bids, every_s=0.1
            )
            figures |= {"sse_watchers": float(opened), "sse_p99_ms": last_ms}
            lost = 0
            for number in range(size.kills):
                self.tell(f"kill {number + 1} of the API")
                lot = self._open(self.guests, lasts=LEAST + timedelta(seconds=15))
                said = acknowledged_before_a_kill(api, lot, self.guests, lines=size.lines, after_s=1.5)
                lost += len(said - store.stored_bids(self.conn, lot.lot_id))
                closed.append(lot)
                api = self._api()
            figures["acknowledged_bids_lost"] = float(lost)
            self.stage.await_state([one.lot_id for one in closed], "decided", within_s=120)
            figures["close_delay_ms"] = max(store.close_delays_ms(self.conn, [one.lot_id for one in closed]))
        finally:
            api.child.kill()
            sweeper.stop()
        return figures

    def overdue(self) -> dict[str, float]:
        """Lots that ended while nobody swept: from the start of the process until all are decided."""
        self.tell(f"{self.size.overdue} lots end while no sweeper runs")
        lasts = LEAST + timedelta(seconds=self.size.overdue / 10)
        lots = [self.stage.lot([], lasts=lasts, drain_ms=0) for _ in range(self.size.overdue)]
        ids = [lot.lot_id for lot in lots]
        while set(store.states(self.conn, ids)) != {"open"}:
            sweep(self.conn, limit=len(ids))
        offset_s = store.database_offset_s(self.conn, monotonic())
        _wait_until(max(lot.ends_at for lot in lots).timestamp() - offset_s)
        began_s = monotonic()
        sweeper = start_module(["auction"], self.database_url, self.folder, "auction")
        try:
            self.stage.await_state(ids, "decided", within_s=300)
            return {"timer_restart_s": monotonic() - began_s}
        finally:
            sweeper.stop()

    def _open(
        self, guests: list[Guest], *, lasts: timedelta = LEAST, drain_ms: int = SHIPPED_DRAIN_MS
    ) -> Lot:
        lot = self.stage.lot(guests, lasts=lasts, drain_ms=drain_ms)
        while store.states(self.conn, [lot.lot_id]) != {"open": 1}:
            sweep(self.conn)
        return replace(lot, state="open")

    def _decide(self, lots: list[Lot]) -> None:
        ids = [lot.lot_id for lot in lots]
        while not set(store.states(self.conn, ids)) <= {"hammered", "unsold"}:
            if not sweep(self.conn):
                _wait_until(monotonic() + 0.05)

    def _api(self) -> Served:
        return start_api(self.database_url, self.folder, LOT_STREAMS_PER_ADDRESS=MANY_STREAMS)


def _rates(rate: Rate) -> dict[str, float]:
    return {"database_bids_per_s": rate.bids_per_s, "retried_share": rate.retried / max(1, rate.tried)}


def _wait_until(moment_s: float) -> None:
    threading.Event().wait(max(0.0, moment_s - monotonic()))
