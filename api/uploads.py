"""Uploaded photos: read no further than their limit."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from alerts.recovery.images.clean import MOST_BYTES

if TYPE_CHECKING:
    from fastapi import UploadFile


def read_photo(upload: UploadFile) -> bytes:
    """Return the bytes of an uploaded photo; what else they must be, alerts/recovery/images says.

    Raises:
        HTTPException: larger than a photo may be (413).
    """
    data = upload.file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise HTTPException(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Expected a photo of at most {MOST_BYTES} bytes, was more"
        )
    return data
