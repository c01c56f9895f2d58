"""PNG (ISO/IEC 15948): chunks with their check sums; only those that make the picture are kept."""

from __future__ import annotations

import struct
import zlib

from alerts.recovery.images.picture import Picture, no_image, truncated

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEPT = frozenset({
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs",
})  # fmt: skip
"""Not eXIf, tEXt, zTXt, iTXt, tIME, nor the frames of an animation."""


def clean_png(data: bytes) -> Picture:
    """Return the picture without text, time and place, and without what follows its end.

    Raises:
        Rejected: see ``clean_picture``.
    """
    kept = [SIGNATURE]
    width = height = 0
    at = len(SIGNATURE)
    seen: set[bytes] = set()
    while b"IEND" not in seen:
        if at + 12 > len(data):
            raise truncated("its chunks")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise truncated("a chunk")
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise no_image("a chunk with its check sum", f"another in {kind!r}")
        if not seen:
            if kind != b"IHDR" or length != 13:
                raise no_image("a PNG header first", repr(kind))
            width, height = struct.unpack_from(">II", data, at + 8)
        if kind in KEPT:
            kept.append(data[at:end])
        seen.add(kind)
        at = end
    if b"IDAT" not in seen:
        raise no_image("a PNG with a picture in it", "one without")
    return Picture("image/png", b"".join(kept), width, height)
