"""Which kind of picture it is; the name and the announced type are not believed."""

from __future__ import annotations

from alerts.recovery.images.jpeg import clean_jpeg
from alerts.recovery.images.picture import Picture, no_image
from alerts.recovery.images.png import clean_png
from alerts.recovery.images.webp import clean_webp
from core.errors import Rejected

MOST_BYTES = 8 * 1024 * 1024
MOST_PIXELS = 120_000_000
"""The largest phone sensors have 108 and 200 million; 120 million decode in under half a gigabyte."""


def clean_picture(data: bytes) -> Picture:
    """Return the picture alone.

    Raises:
        Rejected: too large (``photo_too_large``), cut short (``photo_truncated``) or no picture
            (``photo_not_an_image``).
    """
    if len(data) > MOST_BYTES:
        raise Rejected(
            f"Expected a photo of at most {MOST_BYTES} bytes, was {len(data)}", code="photo_too_large"
        )
    if data.startswith(b"\xff\xd8\xff"):
        picture = clean_jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        picture = clean_png(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        picture = clean_webp(data)
    else:
        raise no_image("a JPEG, PNG or WebP file", "something else")
    if picture.width < 1 or picture.height < 1:
        raise no_image("a picture with an area", f"{picture.width} x {picture.height}")
    if picture.width * picture.height > MOST_PIXELS:
        raise Rejected(
            f"Expected at most {MOST_PIXELS} pixels, was {picture.width} x {picture.height}",
            code="photo_too_large",
        )
    return picture
