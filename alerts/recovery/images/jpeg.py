"""JPEG (ITU-T T.81): walked segment by segment to its end; metadata segments are left out.

Kept: what is needed to decode, the JFIF header, the ICC profile, Adobe's colour transform, and the
orientation, without which most phone photos would lie on their side.
"""

from __future__ import annotations

import struct

from alerts.recovery.images.exif import Exif, orientation_segment, read_exif
from alerts.recovery.images.picture import Picture, no_image, truncated

SOI, EOI, SOS, APP0, APP1, APP2, APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
FIRST_MARKER = 0xC0
"""T.81, table B.1: below it nothing is assigned to pictures."""
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
DECODING = FRAMES | {0xC4, 0xCC, 0xDB, 0xDD, SOS}
"""Frames, Huffman and arithmetic tables, quantisation, restart interval, scans."""
RESTARTS = frozenset(range(0xD0, 0xD8))
JFIF_BYTES = 14


def clean_jpeg(data: bytes) -> Picture:
    """Return the picture without metadata and without what follows it.

    Raises:
        Rejected: see ``clean_picture``.
    """
    kept: list[bytes] = []
    exif = Exif()
    size: tuple[int, int] | None = None
    scans = 0
    at = 2
    while True:
        marker, at = _marker(data, at)
        if marker == EOI:
            break
        if marker < FIRST_MARKER or marker in RESTARTS or marker == SOI:
            raise no_image("a JPEG segment", f"marker {marker:#04x}")
        payload, end = _segment(data, at)
        if marker == APP1 and payload.startswith(b"Exif\0\0"):
            exif = exif if exif.orientation else read_exif(payload[6:])
        if marker in FRAMES:
            if size is not None or len(payload) < 6:
                raise no_image("one frame header of six bytes or more", "another")
            height, width = struct.unpack_from(">HH", payload, 1)
            size = (width, height)
        if marker == SOS:
            if size is None:
                raise no_image("a frame before its scan", "a scan alone")
            end = _end_of_scan(data, end)
            scans += 1
        if _is_kept(marker, payload):
            kept.append(_whole(data, marker, at, end, payload))
        at = end
    if size is None or not scans:
        raise no_image("a JPEG with a picture in it", "one without")
    content = b"".join((b"\xff\xd8", orientation_segment(exif.orientation), *kept, b"\xff\xd9"))
    return Picture("image/jpeg", content, *size, exif.taken, exif.offset)


def _marker(data: bytes, at: int) -> tuple[int, int]:
    """Return the marker at a place, and the place after it; fill bytes may precede it."""
    if at >= len(data):
        raise truncated("its segments")
    if data[at] != 0xFF:
        raise no_image("a JPEG marker", f"byte {data[at]:#04x}")
    while at < len(data) and data[at] == 0xFF:
        at += 1
    if at >= len(data):
        raise truncated("its segments")
    return data[at], at + 1


def _segment(data: bytes, at: int) -> tuple[bytes, int]:
    """Return a segment's payload and the place after it."""
    if at + 2 > len(data):
        raise truncated("a segment's length")
    length = int.from_bytes(data[at : at + 2], "big")
    if length < 2:
        raise no_image("a segment of two bytes or more", str(length))
    if at + length > len(data):
        raise truncated("a segment")
    return data[at + 2 : at + length], at + length


def _end_of_scan(data: bytes, at: int) -> int:
    """Return the place of the marker that ends the entropy-coded data."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise truncated("its picture data")
        following = data[at + 1]
        if following == 0xFF:
            at += 1
        elif following == 0 or following in RESTARTS:
            at += 2
        else:
            return at


def _is_kept(marker: int, payload: bytes) -> bool:
    if marker in DECODING:
        return True
    if marker == APP0:
        return payload.startswith(b"JFIF\0") and len(payload) >= JFIF_BYTES
    return (marker == APP2 and payload.startswith(b"ICC_PROFILE\0")) or (
        marker == APP14 and payload.startswith(b"Adobe")
    )


def _whole(data: bytes, marker: int, at: int, end: int, payload: bytes) -> bytes:
    if marker == APP0:
        # Its thumbnail may show what the picture no longer does.
        return b"\xff\xe0\x00\x10" + payload[: JFIF_BYTES - 2] + b"\0\0"
    return bytes((0xFF, marker)) + data[at:end]
