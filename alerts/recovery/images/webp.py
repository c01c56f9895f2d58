"""WebP (RFC 9649): the RIFF chunks of a still picture, without EXIF and XMP."""

from __future__ import annotations

import struct

from alerts.recovery.images.picture import Picture, no_image, truncated

KEPT = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP"})
EXIF_AND_XMP = 0x0C
KEY_FRAME = b"\x9d\x01\x2a"


def clean_webp(data: bytes) -> Picture:
    """Return the picture without metadata and without what follows it.

    Raises:
        Rejected: see ``clean_picture``.
    """
    (declared,) = struct.unpack_from("<I", data, 4)
    end = 8 + declared
    if end > len(data):
        raise truncated("its chunks")
    kept: list[bytes] = []
    size: tuple[int, int] | None = None
    at = 12
    while at < end:
        if at + 8 > end:
            raise truncated("a chunk's header")
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        at += 8 + length + (length & 1)
        if len(body) < length or at > end:
            raise truncated("a chunk")
        if kind in {b"ANIM", b"ANMF"}:
            raise no_image("a still picture", "an animation")
        if kind not in KEPT:
            continue
        if kind == b"VP8X":
            body = bytes((body[0] & ~EXIF_AND_XMP,)) + body[1:] if body else body
        else:
            size = size or _size(kind, body)
        kept.append(struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) & 1))
    if size is None:
        raise no_image("a WebP with a picture in it", "one without")
    content = b"WEBP" + b"".join(kept)
    return Picture("image/webp", b"RIFF" + struct.pack("<I", len(content)) + content, *size)


def _size(kind: bytes, body: bytes) -> tuple[int, int] | None:
    """Return width and height out of a picture chunk."""
    if kind == b"VP8 ":
        if len(body) < 10 or body[3:6] != KEY_FRAME:
            raise no_image("a VP8 key frame", "something else")
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        if len(body) < 5 or body[0] != 0x2F:
            raise no_image("a VP8L picture", "something else")
        (bits,) = struct.unpack_from("<I", body, 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None
