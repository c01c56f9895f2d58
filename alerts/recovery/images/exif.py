"""EXIF of a photo: which way is up, and when the camera says it was taken. Nothing else is read.

Tag numbers from CIPA DC-008 (Exif 2.32), table 4 and 8.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

ORIENTATION, EXIF_IFD, TAKEN, OFFSET = 0x0112, 0x8769, 0x9003, 0x9011
SHORT, LONG, ASCII = 3, 4, 2
MOST_ENTRIES = 512
UPRIGHT = 1


@dataclass(frozen=True, slots=True)
class Exif:
    """``taken`` like ``2026:11:22 10:31:05`` without a zone, ``offset`` like ``+08:00``."""

    orientation: int = 0
    taken: str | None = None
    offset: str | None = None


def read_exif(tiff: bytes) -> Exif:
    """Return what can be read of a TIFF block; a broken one says nothing, since it is dropped anyway."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return Exif()
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        main = _directory(tiff, order, first)
        within = _directory(tiff, order, _number(main, EXIF_IFD, order)) if EXIF_IFD in main else {}
        orientation = _number(main, ORIENTATION, order)
        taken, offset = _text(tiff, within, TAKEN, order), _text(tiff, within, OFFSET, order)
    except struct.error:
        return Exif()
    return Exif(orientation if 1 <= orientation <= 8 else 0, taken, offset)


def orientation_segment(orientation: int) -> bytes:
    """Return an APP1 segment that holds the orientation and nothing else; empty when the photo is upright."""
    if orientation in {0, UPRIGHT}:
        return b""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, SHORT, 1, orientation, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff


def _directory(tiff: bytes, order: str, at: int) -> dict[int, tuple[int, int, bytes]]:
    """Return tag -> (type, count, the four value bytes) of one image file directory."""
    (number,) = struct.unpack_from(f"{order}H", tiff, at)
    found = {}
    for entry in range(min(number, MOST_ENTRIES)):
        tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, at + 2 + entry * 12)
        found[tag] = (kind, count, tiff[at + 10 + entry * 12 : at + 14 + entry * 12])
    return found


def _number(entries: dict[int, tuple[int, int, bytes]], tag: int, order: str) -> int:
    kind, _, raw = entries.get(tag, (0, 0, b""))
    if kind == SHORT:
        return int(struct.unpack_from(f"{order}H", raw)[0])
    return int(struct.unpack_from(f"{order}I", raw)[0]) if kind == LONG else 0


def _text(tiff: bytes, entries: dict[int, tuple[int, int, bytes]], tag: int, order: str) -> str | None:
    kind, count, raw = entries.get(tag, (0, 0, b""))
    if kind != ASCII or not 0 < count <= 64:
        return None
    if count > 4:
        (at,) = struct.unpack(f"{order}I", raw)
        raw = tiff[at : at + count]
    return raw[:count].split(b"\0")[0].decode("ascii", "replace")
