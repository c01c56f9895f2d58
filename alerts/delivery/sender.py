"""The sender: lease, send with no transaction open, settle. A crash in between sends again, same key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from alerts.delivery.store import lease, settle_failed, settle_sent
from core.errors import Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alerts.delivery.channels import Channel
    from alerts.delivery.store import Delivery
    from core.db.pool import Connection

MAX_ATTEMPTS = 8
FIRST_RETRY_S = 5.0
LONGEST_RETRY_S = 1_800.0
"""Retries after 5 s, 15 s, 45 s … at most 30 min apart (reference/telematics.md (g))."""

_log = structlog.get_logger("delivery")


def retry_delay_s(attempts: int) -> float | None:
    """Return the wait after the given number of failed tries; None: give up."""
    if attempts >= MAX_ATTEMPTS:
        return None
    return min(LONGEST_RETRY_S, FIRST_RETRY_S * 3.0 ** (attempts - 1))


def send_due(conn: Connection, channels: Mapping[str, Channel], *, limit: int = 20) -> int:
    """Send what is due; returns how many were tried. ``conn`` must be in autocommit mode."""
    deliveries = lease(conn, limit)
    for delivery in deliveries:
        _send(conn, channels, delivery)
    return len(deliveries)


def _send(conn: Connection, channels: Mapping[str, Channel], delivery: Delivery) -> None:
    channel = channels.get(delivery.channel)
    if channel is None:
        settle_failed(conn, delivery.delivery_id, "channel is no longer configured", None)
        return
    try:
        channel.send(delivery)
    except Upstream as exc:
        delay = retry_delay_s(delivery.attempts)
        settle_failed(conn, delivery.delivery_id, exc.message, delay)
        _log.warning("delivery_failed", delivery_id=delivery.delivery_id, error=exc.message, retry_in_s=delay)
    else:
        settle_sent(conn, delivery.delivery_id)
