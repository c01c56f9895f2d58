"""What is new since the last look: alert history by (txid, seq), positions by the row's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alerts import store as alerts
from api.board import store as board
from api.board.models import AlertOut, PositionOut
from core.errors import Rejected
from core.events.store import LogPosition
from core.telemetry.clock import refresh

if TYPE_CHECKING:
    from datetime import datetime

    from core.clock import Clock
    from core.db.pool import Connection

BATCH = 500
REPLAY_MOST = 5_000
"""A client that missed more starts afresh: it reads the lists again instead."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One event of a stream; ``order`` tells a repeat (replayed and live) from news.

    None: a repeat does no harm, since the newest position of a device replaces the one before.
    """

    id: str
    event: str
    org_id: str
    data: dict[str, Any]
    order: tuple[int, int] | None


class AlertSource:
    """Reads alert_event in commit-safe order; the id is ``txid-seq``."""

    def __init__(self) -> None:
        self._after: LogPosition | None = None

    def poll(self, conn: Connection) -> list[Signal]:
        """Return what happened since the last poll; the first only takes its place."""
        if self._after is None:
            self._after = LogPosition(*alerts.newest_event(conn))
            return []
        signals = self.after(conn, self._after)
        if signals:
            self._after = position_of(signals[-1].id)
        return signals

    @staticmethod
    def after(conn: Connection, position: LogPosition, limit: int = BATCH) -> list[Signal]:
        """Return the next events behind a position, each with its alert as it is now."""
        events = alerts.events_after(conn, position, limit)
        now_by_id = {
            alert.alert_id: alert for alert in board.alerts_by_id(conn, {e.alert_id for e in events})
        }
        return [
            Signal(
                id=f"{event.txid}-{event.seq}",
                event="alert",
                org_id=now_by_id[event.alert_id].org_id,
                data={
                    "change": event.kind,
                    "actor": event.actor,
                    "at": event.at.isoformat(),
                    "alert": AlertOut.of(now_by_id[event.alert_id]).model_dump(mode="json"),
                },
                order=(int(event.txid), event.seq),
            )
            for event in events
        ]

    @classmethod
    def replay(cls, conn: Connection, last_id: str) -> list[Signal]:
        """Return what a client that saw ``last_id`` has missed.

        Raises:
            Rejected: the id is not one of this stream (``bad_event_id``).
        """
        return cls.after(conn, position_of(last_id), REPLAY_MOST)


class PositionSource:
    """Reads rows of latest_position written since the last look; the id is a transaction number.

    ``xmin`` of a row is the transaction that wrote it, so "changed since" needs no index and no clock,
    and a transaction that commits late is still found: the look-back starts at the oldest one that was
    running then.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: int | None = None
        self._sent: dict[str, tuple[datetime, int, int]] = {}

    def poll(self, conn: Connection) -> list[Signal]:
        """Return positions that changed since the last poll; the first only takes its place."""
        refresh(conn, self._clock)
        horizon = board.snapshot_xmin(conn)
        since, self._since = self._since, horizon
        if since is None:
            return []
        rows = board.positions_since(conn, since)
        signals = []
        for row in rows:
            key = (row.t, row.boot_id, row.seq)
            if self._sent.get(row.device_id) != key:
                self._sent[row.device_id] = key
                signals.append(self._moved(row, horizon))
        return signals

    def replay(self, conn: Connection, last_id: str) -> list[Signal]:
        """Return the newest position of each device that reported since ``last_id``.

        Raises:
            Rejected: the id is not one of this stream (``bad_event_id``).
        """
        since = transaction_of(last_id)
        horizon = board.snapshot_xmin(conn)
        return [self._moved(row, horizon) for row in board.positions_since(conn, since)]

    def _moved(self, row: board.PositionRow, horizon: int) -> Signal:
        return Signal(
            id=str(horizon),
            event="position",
            org_id=row.org_id,
            data=PositionOut.of(row, self._clock.now()).model_dump(mode="json"),
            order=None,
        )


def transaction_of(event_id: str) -> int:
    """Return what an id of the position stream means.

    Raises:
        Rejected: it is none (``bad_event_id``).
    """
    if not (event_id.isascii() and event_id.isdigit()) or int(event_id) >= 2**63:
        raise _bad_id(event_id)
    return int(event_id)


def position_of(event_id: str) -> LogPosition:
    """Return what an id of the alert stream means.

    Raises:
        Rejected: it is none (``bad_event_id``).
    """
    txid, dash, seq = event_id.partition("-")
    if not (
        event_id.isascii()
        and dash
        and txid.isdigit()
        and seq.isdigit()
        and len(txid) < 20
        and int(seq) < 2**63
    ):
        raise _bad_id(event_id)
    return LogPosition(txid, int(seq))


def _bad_id(event_id: str) -> Rejected:
    return Rejected(f"Expected an event id of this stream, was {event_id[:40]!r}", code="bad_event_id")
