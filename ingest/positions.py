"""Positions become WGS-84 at the edge; the datum they came in is kept (architecture, decision 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.errors import Rejected
from core.geo import frames
from ingest import reasons

if TYPE_CHECKING:
    from core.wire import ReportMessage


def to_wgs84(message: ReportMessage, ext: bytes | None) -> bytes:
    """Convert the message's position in place; return its ``ext`` with the datum added.

    Raises:
        Rejected: the datum is not one we know (``schema``).
    """
    if message.crs not in frames.DATUMS:
        raise Rejected(
            f"Expected crs of {', '.join(frames.DATUMS)}, was {message.crs!r}", code=reasons.SCHEMA
        )
    if message.lat is not None and message.lon is not None:
        message.lon, message.lat = frames.to_wgs84(message.lon, message.lat, message.crs)
    kept = msgspec.json.decode(ext) if ext else {}
    kept["crs"] = message.crs
    return msgspec.json.encode(kept)
