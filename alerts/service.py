"""The alerts process: takes findings, sends messages, until told to stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import structlog

from alerts.delivery.sender import send_due
from alerts.intake import take_findings
from core.db.pool import connect
from core.telemetry.clock import open_clock, refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alerts.delivery.channels import Channel
    from core.db.pool import Connection
    from core.settings import Settings

IDLE_WAIT_S = 0.1
"""How long to wait when the log is read to its end; bounds finding-to-alert delay."""
RETRY_WAIT_S = 1.0

_log = structlog.get_logger("alerts")


def run_intake(
    settings: Settings, database_url: str, channels: Mapping[str, Channel], stop: threading.Event
) -> None:
    """Turn findings into alerts until ``stop``; a database that goes away is waited for."""

    def work(conn: Connection) -> int:
        refresh(conn, clock)
        return take_findings(conn, clock, list(channels))

    with connect(database_url, name="alerts-clock", autocommit=True) as conn:
        clock = open_clock(conn, settings)
    _keep_working(database_url, "alerts-intake", work, stop)


def run_sender(database_url: str, channels: Mapping[str, Channel], stop: threading.Event) -> None:
    """Send due messages until ``stop``."""
    _keep_working(database_url, "alerts-sender", lambda conn: send_due(conn, channels), stop)


def _keep_working(
    database_url: str, name: str, work: Callable[[Connection], int], stop: threading.Event
) -> None:
    while not stop.is_set():
        try:
            with connect(database_url, name=name, autocommit=True) as conn:
                while not stop.is_set():
                    if work(conn) == 0:
                        stop.wait(IDLE_WAIT_S)
        except psycopg.OperationalError as exc:
            _log.warning("database_away", worker=name, error=str(exc).strip())
            stop.wait(RETRY_WAIT_S)
