"""The stages before the transaction: from bytes to reports, each item judged by itself.

A stage takes the batch and moves items that it cannot pass on to ``refusals`` or ``dead``. Nothing
here touches the database, so a batch is prepared once however often its transaction is retried.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
import structlog

from core import topics, wire
from core.clock import DataClock, from_ms, to_ms
from core.errors import Rejected
from ingest import reasons
from ingest.answers import is_report, read_answer
from ingest.domain import Batch, DeadLetter, Delivery, Item, Probe, StatusChange
from ingest.fragments import fragments
from ingest.plausible import undated_reason
from ingest.positions import to_wgs84

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.clock import Clock

PROBE_ROOT = topics.probe(0).rpartition("/")[0] + "/"

_parse = lru_cache(maxsize=32_768)(topics.parse)
"""A device says everything on the same two or three topics."""

_log = structlog.get_logger("ingest")


class StatusMessage(msgspec.Struct, gc=False):
    """What a ``status`` topic carries; also the form of the last will."""

    v: int
    device_id: str
    online: bool
    at: object = None


_status = msgspec.json.Decoder(StatusMessage)


def split(batch: Batch, clock: Clock) -> None:
    """Cut payloads into items; probes and status messages go their own way."""
    for delivery in batch.deliveries:
        if delivery.topic.startswith(PROBE_ROOT):
            batch.probe = read_probe(delivery.payload) or batch.probe
            continue
        batch.n_messages += 1
        device_id = None
        try:
            topic = _parse(delivery.topic)
            device_id = topic.device_id
            raws = wire.split_payload(delivery.payload)
        except Rejected as exc:
            _bury(batch, delivery, device_id, exc)
            continue
        except Exception as exc:  # noqa: BLE001 - as in _each: the same message would come again for ever
            _log.exception("message_failed", topic=delivery.topic)
            error = Rejected(f"{type(exc).__name__}: {exc}", code=reasons.INTERNAL_ERROR)
            _bury(batch, delivery, device_id, error)
            continue
        batch.n_received += len(raws)
        for raw in raws:
            item = Item(delivery.topic, device_id, raw, wire.fingerprint(raw))
            if topic.kind == "status":
                _read_status(batch, item, retained=delivery.retained)
            elif topic.kind == "cmdack" and not is_report(raw):
                _take_answer(batch, item)
            else:
                batch.items.append(item)


def decode(batch: Batch, clock: Clock) -> None:
    """Check types and ranges of every report."""

    def one(item: Item) -> None:
        item.message, item.ext = wire.decode(item.raw)

    _each(batch, one)


def check_sender(batch: Batch, clock: Clock) -> None:
    """The device id of the topic is the truth: a body that disagrees is somebody else's report."""

    def refuse(item: Item) -> None:
        if item.message is not None and item.message.device_id != item.device_id:
            raise Rejected(
                f"Expected device_id {item.device_id!r} as in the topic, was {item.message.device_id!r}",
                code=reasons.DEVICE_MISMATCH,
            )

    if any(item.message is None or item.message.device_id != item.device_id for item in batch.items):
        _each(batch, refuse)


def convert_datum(batch: Batch, clock: Clock) -> None:
    """Make every position WGS-84; the datum it came in is kept in ``ext``."""

    def convert(item: Item) -> None:
        if item.message is not None and item.message.crs != "wgs84":
            item.ext = to_wgs84(item.message, item.ext)

    if any(item.message is None or item.message.crs != "wgs84" for item in batch.items):
        _each(batch, convert)


def judge_time(batch: Batch, clock: Clock) -> None:
    """Build the reports and tell dated from undated ones by telemetry time."""
    received_ms, bounded = batch.received_ms, clock.bounded

    def build(item: Item) -> None:
        assert item.message is not None  # noqa: S101 - the order of STAGES
        item.report = wire.to_report(item.message, received_ms=received_ms, sha256=item.sha256, ext=item.ext)
        item.undated = undated_reason(item.report, received_ms, bounded=bounded)
        item.message = None

    _each(batch, build)
    if isinstance(clock, DataClock):
        _follow_the_data(batch, clock)
    for item in batch.items:
        if item.undated:
            # Its identity has no time in it; t is when it came.
            item.report = msgspec.structs.replace(item.known, t_ms=batch.received_ms)


def _follow_the_data(batch: Batch, clock: DataClock) -> None:
    """Recorded reports are received when they happened: at the greatest event time seen by then."""
    newest = max((item.known.t_ms for item in batch.items if not item.undated), default=None)
    if newest is not None:
        clock.observe(from_ms(newest))
    batch.received_ms = to_ms(clock.now())
    for item in batch.items:
        item.report = msgspec.structs.replace(item.known, received_ms=batch.received_ms)


def read_probe(payload: bytes) -> Probe | None:
    """Return the probe of a payload, None for anything else on its topic."""
    try:
        return msgspec.json.decode(payload, type=Probe)
    except (msgspec.DecodeError, UnicodeDecodeError):
        _log.warning("probe_unreadable", size=len(payload))
        return None


def _read_status(batch: Batch, item: Item, *, retained: bool) -> None:
    try:
        message = _status.decode(item.raw)
    except msgspec.ValidationError as exc:
        batch.refuse(item, reasons.SCHEMA, str(exc))
        return
    except Exception as exc:  # noqa: BLE001 - the last will of one device must not stop the slot for good
        batch.refuse(item, reasons.NOT_JSON, f"Expected JSON, was not: {exc}")
        return
    if message.v != wire.VERSION:
        batch.refuse(item, "unknown_version", f"Expected v = {wire.VERSION}, was {message.v}")
    elif message.device_id != item.device_id:
        batch.refuse(item, reasons.DEVICE_MISMATCH, f"Expected device_id {item.device_id!r} as in the topic")
    else:
        batch.statuses.append(
            StatusChange(item.topic, item.device_id, message.online, item.raw, item.sha256, retained)
        )


def _take_answer(batch: Batch, item: Item) -> None:
    try:
        batch.answers.append((item, read_answer(item)))
    except Rejected as exc:
        batch.refuse(item, exc.code, exc.message)


def _bury(batch: Batch, delivery: Delivery, device_id: str | None, error: Rejected) -> None:
    batch.n_received += 1
    batch.dead.append(
        DeadLetter(
            delivery.topic,
            device_id,
            error.code,
            error.message,
            delivery.payload,
            wire.fingerprint(delivery.payload),
            tuple(wire.fingerprint(piece) for piece in fragments(delivery.payload)),
        )
    )


def _each(batch: Batch, work: Callable[[Item], None]) -> None:
    """Run a stage item by item; whatever is wrong with one never reaches its neighbours."""
    passed = []
    for item in batch.items:
        try:
            work(item)
        except Rejected as exc:
            batch.refuse(item, exc.code, exc.message)
        except Exception as exc:  # noqa: BLE001 - a bug of ours must not stop the slot for good
            _log.exception("item_failed", topic=item.topic)
            batch.refuse(item, reasons.INTERNAL_ERROR, f"{type(exc).__name__}: {exc}")
        else:
            passed.append(item)
    batch.items = passed
