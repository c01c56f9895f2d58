"""Small real pictures (24 x 16, drawn for this), and what phones hang onto theirs."""

from __future__ import annotations

import base64
import struct
import zlib

JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWG"
    "kJ6jq62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSk"
    "pKSkpKSkpKSkpKSkpKT/wAARCAAQABgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAUEAEAAAAAAAAAAAAA"
    "AAAAAAAA/8QAFgEBAQEAAAAAAAAAAAAAAAAAAwEE/8QAGxEAAgEFAAAAAAAAAAAAAAAAABMBEiEyYYH/2gAMAwEAAhEDEQA/"
    "AIQDyyvRISq+XQAYyn//2Q=="
)
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABgAAAAQCAYAAAAMJL+VAAAAUUlEQVR4AeyQwQkAIAwDS/dwEDcRXKab+HUTx9Jvf7Fg+ygW"
    "An0EkhyXPranmJwvYcBcQkgWqgkRWebfeD8iSCkeUatCSLC2MsQvUOFPXvcFBwAA//8HSdgdAAAABklEQVQDAHvYTTGdzxkJ"
    "AAAAAElFTkSuQmCC"
)
WEBP = base64.b64decode(
    "UklGRlwAAABXRUJQVlA4IFAAAAAwAwCdASoYABAAPxFysFAsJqSisAgBgCIJagCdD3/wNSQAAP7lCtnw4Cv+Pr3C8Cy/7gfn"
    "EzgELbBzzDRxP9VB8lGFKM1QVpM57HXq8oAAAA=="
)

PLACE = b"SECRET-PLACE-30.2N-117.9E"
"""Stands in every metadata block below; must be in no cleaned picture."""


def tiff(
    *, orientation: int = 6, taken: bytes = b"2026:11:20 10:31:05\0", offset: bytes = b"+08:00\0"
) -> bytes:
    """EXIF as a phone writes it: which way is up, when, and where (a GPS directory)."""
    exif_at, gps_at = 8 + 2 + 3 * 12 + 4, 8 + 2 + 3 * 12 + 4 + 2 + 2 * 12 + 4
    texts_at = gps_at + 2 + 12 + 4
    main = struct.pack(
        "<HHHIHHHHIIHHII", 3, 0x0112, 3, 1, orientation, 0, 0x8769, 4, 1, exif_at, 0x8825, 4, 1, gps_at
    )
    exif = struct.pack(
        "<HHHIIHHIII", 2, 0x9003, 2, len(taken), texts_at, 0x9011, 2, len(offset), texts_at + len(taken), 0
    )
    gps = struct.pack("<HHHIII", 1, 0x001D, 2, len(PLACE), texts_at + len(taken) + len(offset), 0)
    return b"II*\0" + struct.pack("<I", 8) + main + struct.pack("<I", 0) + exif + gps + taken + offset + PLACE


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def phone_jpeg(**exif: object) -> bytes:
    """A JPEG with EXIF, XMP, a comment, and a motion clip behind its end."""
    extras = (
        segment(0xE1, b"Exif\0\0" + tiff(**exif))  # type: ignore[arg-type]
        + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + PLACE)
        + segment(0xED, b"Photoshop 3.0\0" + PLACE)
        + segment(0xFE, b"<script>alert(1)</script>" + PLACE)
    )
    return JPEG[:2] + extras + JPEG[2:] + b"ftypmp42" + PLACE


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def phone_png() -> bytes:
    """A PNG with EXIF, text and what follows its end."""
    extras = (
        chunk(b"eXIf", tiff()) + chunk(b"tEXt", b"Comment\0" + PLACE) + chunk(b"tIME", b"\7\xea\1\1\1\1\1")
    )
    return PNG[:33] + extras + PNG[33:] + PLACE


def riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def phone_webp() -> bytes:
    """A WebP of the extended form, with EXIF and XMP."""
    head = riff(b"VP8X", bytes((0x0C, 0, 0, 0)) + b"\x17\0\0" + b"\x0f\0\0")
    content = b"WEBP" + head + WEBP[12:] + riff(b"EXIF", tiff()) + riff(b"XMP ", PLACE)
    return b"RIFF" + struct.pack("<I", len(content)) + content
