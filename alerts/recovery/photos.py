"""Photos of the hand-over: cleaned before they are kept, and the same one kept once."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from alerts.cases import store as cases
from alerts.recovery.domain import PHOTO_KINDS
from alerts.recovery.images.clean import clean_picture
from alerts.recovery.store import photos as store
from core.clock import wall_now
from core.errors import Conflict, Rejected

if TYPE_CHECKING:
    from uuid import UUID

    from alerts.recovery.domain import Photo
    from alerts.recovery.images.picture import Picture
    from core.db.pool import Connection

PHOTO_STATES = frozenset({"dispatched", "recovered", "in_yard"})
MOST_PHOTOS = 60
CLOCK_SLACK = timedelta(minutes=10)


def add_photo(
    conn: Connection, case_id: UUID, actor: str, kind: str, data: bytes, *, timezone: str
) -> tuple[Photo, bool]:
    """Keep a photo; returns it, and whether it is new. ``timezone``: of cameras that do not say theirs.

    Raises:
        Rejected: not a whole JPEG, PNG or WebP of at most 8 MiB, an unknown kind, or too many photos.
        Conflict: the vehicle is not in anybody's hands (``bad_state``).
    """
    if kind not in PHOTO_KINDS:
        raise Rejected(f"Expected one of {', '.join(PHOTO_KINDS)}, was {kind!r}", code="bad_photo_kind")
    picture = clean_picture(data)
    case = cases.get_case(conn, case_id, lock=True)
    if case.state not in PHOTO_STATES:
        raise Conflict(
            f"Expected a case that is {', '.join(sorted(PHOTO_STATES))}, was {case.state}", code="bad_state"
        )
    digest = hashlib.sha256(data).digest()
    known = {photo.sha256: photo for photo in store.list_photos(conn, case_id)}
    if digest in known:
        return known[digest], False
    if len(known) >= MOST_PHOTOS:
        raise Rejected(f"Expected at most {MOST_PHOTOS} photos of a case", code="too_many_photos")
    photo = store.insert_photo(
        conn, case_id, kind, picture, sha256=digest, taken_at=taken_at(picture, timezone), uploaded_by=actor
    )
    assert photo is not None  # noqa: S101 - the case's row is held, and the digest was not there
    cases.add_entry(conn, case_id, actor, "photo", "", {"photo_id": str(photo.photo_id), "photo": kind})
    return photo, True


def taken_at(picture: Picture, timezone: str) -> datetime | None:
    """Return when the camera says it took the picture; None when it does not say, or says tomorrow."""
    offset = picture.offset or _offset(timezone)
    try:
        moment = datetime.strptime(f"{picture.taken} {offset}", "%Y:%m:%d %H:%M:%S %z")
    except ValueError:
        # A camera may write anything there, or nothing; the photo is good without.
        return None
    return moment if moment <= wall_now() + CLOCK_SLACK else None


def _offset(timezone: str) -> str:
    return wall_now().astimezone(ZoneInfo(timezone)).strftime("%z")
