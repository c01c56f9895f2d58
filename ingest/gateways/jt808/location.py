"""The body of a location report (0x0200): 28 fixed bytes, then items of id, length, value."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from core.clock import to_ms
from core.errors import Rejected

_FIXED = struct.Struct(">IIIIHHH6s")
STATUS_POSITIONED, STATUS_SOUTH, STATUS_WEST = 1, 2, 3
"""Bits of the status word that every model shares; the others are the dialect's."""


@dataclass(frozen=True, slots=True)
class Location:
    """What the bytes say, in the protocol's own units; meaning is the dialect's."""

    alarm: int
    status: int
    lat: float
    lon: float
    altitude_m: int
    speed_dkmh: int
    direction_deg: int
    time_bcd: bytes
    items: tuple[tuple[int, bytes], ...]
    remainder: bytes
    """Bytes after the last whole item: a length that ran over the end."""

    @property
    def positioned(self) -> bool:
        return bool(self.status >> STATUS_POSITIONED & 1)

    @property
    def placed(self) -> bool:
        """Whether the coordinates are somewhere on earth, and not the zero of an empty memory."""
        return -90 <= self.lat <= 90 and -180 <= self.lon <= 180 and (self.lat, self.lon) != (0, 0)

    def moment_ms(self, utc_offset_s: int) -> int | None:
        """Return Unix milliseconds of the report's clock; None when it shows no date."""
        return bcd_moment_ms(self.time_bcd, utc_offset_s)


def parse_location(body: bytes) -> Location:
    """Parse a location body; damaged items cost themselves, never the position or an alarm.

    Raises:
        Rejected: shorter than the 28 fixed bytes.
    """
    if len(body) < _FIXED.size:
        raise Rejected(f"Expected a location of at least {_FIXED.size} bytes, was {len(body)}", code="short")
    alarm, status, lat, lon, altitude, speed, direction, time_bcd = _FIXED.unpack_from(body)
    items, at = [], _FIXED.size
    while at + 2 <= len(body) and at + 2 + body[at + 1] <= len(body):
        length = body[at + 1]
        items.append((body[at], body[at + 2 : at + 2 + length]))
        at += 2 + length
    return Location(
        alarm=alarm,
        status=status,
        lat=(-lat if status >> STATUS_SOUTH & 1 else lat) / 1e6,
        lon=(-lon if status >> STATUS_WEST & 1 else lon) / 1e6,
        altitude_m=altitude,
        speed_dkmh=speed,
        direction_deg=direction,
        time_bcd=time_bcd,
        items=tuple(items),
        remainder=body[at:],
    )


def bcd_moment_ms(raw: bytes, utc_offset_s: int) -> int | None:
    """Return Unix milliseconds of YYMMDDhhmmss in a zone; None when it is no date."""
    digits = raw.hex()
    if not digits.isdecimal():
        return None
    year, month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(0, 12, 2))
    try:
        local = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return to_ms(local - timedelta(seconds=utc_offset_s))
