"""A clean picture, and what is said about bytes that are none."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import Rejected


@dataclass(frozen=True, slots=True)
class Picture:
    """A clean picture. ``taken`` is the camera's local time as EXIF writes it, ``offset`` its zone."""

    content_type: str
    content: bytes
    width: int
    height: int
    taken: str | None = None
    offset: str | None = None


def no_image(expected: str, was: str) -> Rejected:
    """Return the error for something that is no picture."""
    return Rejected(f"Expected {expected}, was {was}", code="photo_not_an_image")


def truncated(what: str) -> Rejected:
    """Return the error for a picture that ends too early."""
    return Rejected(
        f"Expected a whole picture, was cut off in {what}: upload it again", code="photo_truncated"
    )
