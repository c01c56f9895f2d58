"""The stages inside the transaction: bind, write, rules, ledger.

They work on an ``Attempt``, which is thrown away when its transaction fails; the prepared batch
stays as it was, so a retry begins where the last one did.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import msgspec
import psycopg

from core.clock import DataClock, from_ms, to_ms
from core.telemetry.clock_row.store import advance_data_clock
from core.telemetry.gaps import store as gaps
from core.telemetry.partitions import DAY_MS
from core.telemetry.writing import store as telemetry
from geofence.inputs import judged_undated
from geofence.store.replays import queue as queue_replays
from ingest import reasons, store
from ingest.answers import write_answers
from ingest.domain import Batch, Counts, Item, Refusal, StatusChange, refusal
from ingest.faults import Fault, classify
from ingest.identities import identities
from ingest.judging import Rules, judge
from ingest.slots import store as slot_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collateral.commands.queue import Answer
    from core.clock import Clock
    from core.db.pool import Connection
    from core.domain.report import Report
    from core.telemetry.partitions import Partitions
    from ingest.bindings import BindingCache
    from ingest.slots.lease import Lease

Key = tuple[str, int, int, int]


class DaysMissing(Exception):
    """Reports fall on days that have no partition yet; they are made in a transaction of their own."""

    def __init__(self, days: set[date]) -> None:
        super().__init__(f"{len(days)} days without a partition")
        self.days = days


@dataclass(slots=True)
class Tools:
    """What the stages of one slot (or of a replay) work with."""

    clock: Clock
    bindings: BindingCache
    partitions: Partitions
    rules: Rules | None
    source: str = "mqtt"
    lease: Lease | None = None


@dataclass(slots=True)
class Attempt:
    """One try at committing a batch."""

    batch: Batch
    tools: Tools
    conn: Connection
    closed_days: frozenset[date] = frozenset()
    days_are_certain: bool = False
    use_rules: bool = True
    counts: Counts = field(default_factory=Counts)
    items: list[Item] = field(default_factory=list)
    statuses: list[StatusChange] = field(default_factory=list)
    answers: list[tuple[Item, Answer]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    fresh: list[Item] = field(default_factory=list)
    conflicts: set[Key] = field(default_factory=set)
    judged: bool = False

    @property
    def slot(self) -> int | None:
        return self.tools.lease.slot if self.tools.lease else None

    def in_service(self, device_id: str) -> bool:
        """Whether the device is registered and not revoked."""
        return _stranger(self.tools.bindings.current(self.conn).device(device_id)) is None


def bind(attempt: Attempt) -> None:
    """Refuse senders we do not know, and find the vehicle the device was in at the report's time."""
    batch = attempt.batch
    bindings = attempt.tools.bindings.current(attempt.conn)
    attempt.refusals = list(batch.refusals)
    for status in batch.statuses:
        reason = _stranger(bindings.device(status.device_id))
        if reason is None:
            attempt.statuses.append(status)
        else:
            attempt.refusals.append(refusal(status, reason, _WHY[reason]))
    for item, answer in batch.answers:
        reason = _stranger(bindings.device(item.device_id))
        if reason is None:
            attempt.answers.append((item, answer))
        else:
            attempt.refusals.append(refusal(item, reason, _WHY[reason]))
    device_of, vehicle_at = bindings.device, bindings.vehicle_at
    for item in batch.items:
        device = device_of(item.device_id)
        if device is None or device.revoked:
            reason = _stranger(device) or reasons.REVOKED_DEVICE
            attempt.refusals.append(refusal(item, reason, _WHY[reason]))
            continue
        report = item.known
        vehicle_id = vehicle_at(item.device_id, report.t_ms)
        if report.vehicle_id != vehicle_id:
            # Nobody has seen the report yet: a copy of its thirty fields would cost more than the rest.
            msgspec.structs.force_setattr(report, "vehicle_id", vehicle_id)
        attempt.items.append(item)


_WHY = {
    reasons.UNKNOWN_DEVICE: "Expected a registered device; add it, then replay the quarantine",
    reasons.REVOKED_DEVICE: "Expected a device in service, this one was revoked",
}


def _stranger(device: object) -> str | None:
    if device is None:
        return reasons.UNKNOWN_DEVICE
    return reasons.REVOKED_DEVICE if getattr(device, "revoked", False) else None


def make_room(attempt: Attempt) -> None:
    """See that every day has its partition; reports on days beyond the cap are set aside.

    Raises:
        DaysMissing: the caller makes them outside this transaction and tries again.
    """
    moments = [item.known.t_ms for item in attempt.items if not item.undated]
    days = attempt.tools.partitions.missing(moments) - attempt.closed_days
    if days:
        raise DaysMissing(days)
    if attempt.closed_days:
        kept = []
        for item in attempt.items:
            if not item.undated and _day(item) in attempt.closed_days:
                attempt.refusals.append(
                    refusal(item, reasons.PARTITION_CAP, "Expected at most so many new days in an hour")
                )
            else:
                kept.append(item)
        attempt.items = kept


def _day(item: Item) -> date:
    return from_ms(item.known.t_ms // DAY_MS * DAY_MS).date()


def write(attempt: Attempt) -> None:
    """Store what is new; count repeats; isolate what the database cannot hold."""
    _write_unique(attempt, attempt.items)
    if attempt.statuses:
        moment = from_ms(attempt.batch.received_ms)
        telemetry.set_online(
            attempt.conn, [(status.device_id, status.online, moment) for status in attempt.statuses]
        )
    if attempt.answers:
        unknown = write_answers(attempt.conn, attempt.answers)
        attempt.refusals += unknown
        attempt.counts.status -= len(unknown)
    clock = attempt.tools.clock
    if isinstance(clock, DataClock) and attempt.fresh:
        advance_data_clock(attempt.conn, clock.now())


def _write_unique(attempt: Attempt, items: Sequence[Item]) -> None:
    """Send the first of each identity in receive order; its repeats are judged by their bytes."""
    leaders: dict[Key, Item] = {}
    followers: dict[Key, list[Item]] = {}
    for item in items:
        key = item.key
        if leaders.setdefault(key, item) is not item:
            followers.setdefault(key, []).append(item)
    rows = [leaders[key] for key in sorted(leaders)]
    refused = _write_rows(attempt, rows)
    if not followers:
        return
    heirs: list[Item] = []
    for key, repeats in followers.items():
        leader = leaders[key]
        why = refused.get(key)
        for item in repeats:
            same = item.sha256 == leader.sha256
            if why is not None and same:
                attempt.refusals.append(refusal(item, why.reason, why.detail, why.sqlstate))
            elif why is not None or key in attempt.conflicts:
                heirs.append(item)  # its leader is not what is stored, so the database has to compare
            else:
                _count_repeat(attempt, item, same=same)
    if heirs:
        _write_unique(attempt, heirs)


def _count_repeat(attempt: Attempt, item: Item, *, same: bool) -> None:
    if not same:
        attempt.counts.dup_conflict += 1
    elif item.undated:
        attempt.counts.undated_duplicate += 1
    else:
        attempt.counts.duplicate += 1


def _write_rows(attempt: Attempt, rows: Sequence[Item]) -> dict[Key, Refusal]:
    """Write rows in a savepoint; on a data error halve them until the culprits are alone."""
    if not rows:
        return {}
    conn = attempt.conn
    try:
        with conn.transaction():
            telemetry.stage(conn, ((n, item.known, item.undated) for n, item in enumerate(rows)))
            repeats = telemetry.insert_dated(conn)
            if any(item.undated for item in rows):
                repeats += telemetry.insert_undated(conn)
            telemetry.upsert_latest(conn)
            telemetry.upsert_status(conn)
            gaps.log_staged(conn)
    except psycopg.Error as exc:
        if classify(exc) is not Fault.DATA:
            raise
        if isinstance(exc, psycopg.errors.CheckViolation) and not attempt.days_are_certain:
            # A partition we remember was dropped meanwhile: look again before blaming a row.
            attempt.tools.partitions.forget()
            days = {_day(item) for item in attempt.items if not item.undated}
            raise DaysMissing(days) from exc
        if len(rows) == 1:
            return {rows[0].key: _refuse_row(attempt, rows[0], exc)}
        middle = len(rows) // 2
        return _write_rows(attempt, rows[:middle]) | _write_rows(attempt, rows[middle:])
    repeated = {repeat.n: repeat.same for repeat in repeats}
    fresh = [item for n, item in enumerate(rows) if n not in repeated] if repeated else rows
    for n, same in repeated.items():
        _count_repeat(attempt, rows[n], same=same)
        if not same:
            attempt.conflicts.add(rows[n].key)
    undated = sum(item.undated is not None for item in fresh)
    attempt.fresh += fresh
    attempt.counts.undated += undated
    attempt.counts.inserted += len(fresh) - undated
    return {}


def _refuse_row(attempt: Attempt, item: Item, error: psycopg.Error) -> Refusal:
    state = error.sqlstate or "00000"
    entry = refusal(item, f"{reasons.DATABASE_PREFIX}{state}", str(error).partition("\n")[0], state)
    attempt.refusals.append(entry)
    return entry


def apply_rules(attempt: Attempt) -> None:
    """Let the rules judge what is new. Whatever happens to them, the reports stay.

    Raises:
        psycopg.Error: the database is away or wants the whole transaction again.
    """
    rules = attempt.tools.rules
    if rules is None or not attempt.fresh:
        return
    reports = _judged(attempt.fresh)
    if not reports:
        attempt.judged = True
        return
    if not attempt.use_rules:
        _queue(attempt, reports)
        return
    now_ms = to_ms(attempt.tools.clock.now())
    judgement = judge(attempt.conn, rules, reports, now_ms=now_ms)
    attempt.judged = len(judgement.unjudged) < len(reports)
    if judgement.unjudged:
        _queue(attempt, judgement.unjudged)
        vehicles = sorted({report.vehicle_id or "" for report in judgement.unjudged})
        store.add_incident(
            attempt.conn,
            attempt.slot,
            "engine_failure",
            judgement.error,
            {"reports": len(judgement.unjudged), "vehicles": len(vehicles), "first": vehicles[:10]},
        )


def _judged(items: Sequence[Item]) -> list[Report]:
    """Return what the rules see: reports of vehicles, and of undated ones the alarms."""
    reports = (judged_undated(item.known) if item.undated else item.report for item in items)
    return [report for report in reports if report is not None and report.vehicle_id is not None]


def _queue(attempt: Attempt, reports: Sequence[Report]) -> None:
    first: dict[str, int] = {}
    for report in reports:
        if report.vehicle_id is not None:
            first[report.vehicle_id] = min(report.t_ms, first.get(report.vehicle_id, report.t_ms))
    queue_replays(attempt.conn, first, "engine_failure")


def keep_account(attempt: Attempt) -> None:
    """Keep what was refused, and write the ledger row that must add up."""
    batch, counts, conn = attempt.batch, attempt.counts, attempt.conn
    counts.messages, counts.received = batch.n_messages, batch.n_received
    counts.status += len(attempt.statuses) + len(attempt.answers)
    counts.quarantined, counts.dead = len(attempt.refusals), len(batch.dead)
    if attempt.refusals:
        store.add_refusals(conn, attempt.refusals, attempt.slot)
    if batch.dead:
        store.add_dead_letters(conn, batch.dead, attempt.slot)
    if attempt.refusals or batch.dead:
        came = from_ms(batch.received_ms)
        seen = identities(attempt.refusals, batch.dead, attempt.in_service)
        gaps.log_known(conn, [(*identity, came) for identity in seen])
    if not counts.messages:
        return
    lease = attempt.tools.lease
    store.add_ledger_row(
        conn,
        counts,
        source=attempt.tools.source,
        slot=attempt.slot,
        epoch=lease.epoch if lease else None,
        without_rules=bool(attempt.fresh) and not attempt.judged and attempt.tools.rules is not None,
    )
    if lease and lease.unclean_ends and attempt.judged:
        slot_store.forget_unclean_ends(conn, lease)
