"""Is it alive, is it ready, and what do the numbers say: for supervisors and Prometheus, without sign-in."""

from __future__ import annotations

from datetime import UTC

import psycopg
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from psycopg_pool import PoolTimeout
from pydantic import BaseModel

from api.board import vitals
from api.board.slot_metrics import show_slots
from api.deps import Wired
from core.clock import DataClock, wall_now
from core.telemetry.storage.chunks import store as columnstore

router = APIRouter(tags=["health"])

WATERMARK_STALE_S = 120
"""Ingest moves the watermark every second; two minutes without means that silence cannot be judged."""


class Live(BaseModel):
    """The process answers."""

    status: str = "ok"


class SlotNote(BaseModel):
    """A slot of ingest that needs somebody; ``state`` is unserved, disconnected, behind, dropping…"""

    slot: int
    state: str
    why: str
    todo: str


class Ready(BaseModel):
    """What readiness was judged by; ``status`` is ``ok`` or ``unavailable``.

    ``slots_behind`` does not make the API unready: it says what of ingest needs somebody.
    """

    status: str
    database: str
    storage_mode: str | None = None
    migrations_missing: list[str] = []
    watermark_age_s: float | None = None
    watermark_stale: bool | None = None
    telemetry_clock: str
    slots_behind: list[SlotNote] = []


@router.get("/health/live")
def live() -> Live:
    """Say that the process answers."""
    return Live()


@router.get("/health/ready", responses={503: {"model": Ready}})
def ready(services: Wired) -> Response:
    """Say whether requests can be served: the database answers and every migration is applied."""
    clock = services.settings.telemetry_clock.partition(":")[0]
    try:
        with services.pool.connection(timeout=3) as conn:
            state = vitals.look(conn, services.settings.ingest_slots)
    except (psycopg.Error, PoolTimeout) as exc:
        down = Ready(status="unavailable", database=type(exc).__name__, telemetry_clock=clock)
        return JSONResponse(down.model_dump(), status_code=503)
    age = None
    if state.watermark_moved_at is not None:
        age = (wall_now() - state.watermark_moved_at.astimezone(UTC)).total_seconds()
    report = Ready(
        status="unavailable" if state.migrations_missing else "ok",
        database=f"PostgreSQL {state.postgresql}",
        storage_mode=state.storage_mode,
        migrations_missing=state.migrations_missing,
        watermark_age_s=age,
        watermark_stale=None if age is None else age > WATERMARK_STALE_S,
        telemetry_clock=clock,
        slots_behind=[SlotNote(**slot._asdict()) for slot in state.slots if not slot.good],
    )
    return JSONResponse(report.model_dump(), status_code=503 if state.migrations_missing else 200)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(services: Wired) -> Response:
    """Return gauges in the Prometheus text format, read from the tables at the moment of the scrape."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, value: float | None) -> None:
        if value is not None:
            Gauge(f"pledgewatch_{name}", text, registry=registry).set(value)

    gauge("stream_listeners", "Open event streams of this process.", services.hub.listeners)
    try:
        with services.pool.connection(timeout=3) as conn:
            state = vitals.look(conn, services.settings.ingest_slots)
            figures = vitals.count(conn)
            rows = vitals.slot_rows(conn)
            holes = vitals.open_gaps(conn)
            packed = columnstore.totals(conn)
    except (psycopg.Error, PoolTimeout):
        gauge("database_up", "Whether the database answers.", 0)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
    gauge("database_up", "Whether the database answers.", 1)
    open_alerts = Gauge("pledgewatch_alerts_open", "Alerts not resolved.", ["severity"], registry=registry)
    for severity in ("P1", "P2", "P3", "P4"):
        open_alerts.labels(severity).set(figures.open_alerts.get(severity, 0))
    now = wall_now()
    if state.watermark_moved_at is not None:
        gauge(
            "watermark_age_seconds", "Wall seconds since ingest last proved that nothing is waiting.",
            (now - state.watermark_moved_at).total_seconds(),
        )  # fmt: skip
    if state.received_until is not None and not isinstance(services.clock, DataClock):
        gauge(
            "ingest_lag_seconds", "Telemetry seconds between now and what is proved to be stored.",
            max(0.0, (services.clock.now() - state.received_until).total_seconds()),
        )  # fmt: skip
    gauge("devices_heard", "Devices that ever reported.", figures.devices_heard)
    gauge("replays_waiting", "Vehicles whose late reports wait for the replayer.", figures.replays_waiting)
    gauge("location_reads_total", "Rows of the view log.", figures.location_reads)
    gauge("columnstore_late_rows", "Reports that came after their chunk was compressed.", packed.late_rows)
    if packed.bytes_after:
        ratio = packed.bytes_before / packed.bytes_after
        gauge("columnstore_ratio", "How many times smaller the columnstore made its chunks.", ratio)
    gauge("gaps_open", "Gaps in the numbers of devices.", holes[0])
    gauge("gaps_missing_reports", "Reports that those gaps lack.", holes[2])
    gauge("gaps_overdue", "Gaps older than the buffer of their device.", holes[3])
    show_slots(registry, rows, state.slots)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
