"""SQL of photos. Pictures are read one at a time; lists carry none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import class_row

from alerts.recovery.domain import Photo

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from alerts.recovery.images.picture import Picture
    from core.db.pool import Connection

_COLUMNS = (
    "photo_id, case_id, kind, content_type, length(content) AS size_bytes, width, height, sha256, taken_at,"
    " uploaded_by, uploaded_at"
)


def insert_photo(
    conn: Connection, case_id: UUID, kind: str, picture: Picture, *, sha256: bytes,
    taken_at: datetime | None, uploaded_by: str,
) -> Photo | None:  # fmt: skip
    """Keep a photo; None when the case has the same one already."""
    with conn.cursor(row_factory=class_row(Photo)) as cursor:
        return cursor.execute(
            "INSERT INTO case_photo"
            " (case_id, kind, content_type, content, width, height, sha256, taken_at, uploaded_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
            f" ON CONFLICT (case_id, sha256) DO NOTHING RETURNING {_COLUMNS}",
            (
                case_id, kind, picture.content_type, picture.content, picture.width, picture.height, sha256,
                taken_at, uploaded_by,
            ),
        ).fetchone()  # fmt: skip


def list_photos(conn: Connection, case_id: UUID) -> list[Photo]:
    """Return the photos of a case, oldest first."""
    with conn.cursor(row_factory=class_row(Photo)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM case_photo WHERE case_id = %s ORDER BY uploaded_at, photo_id", (case_id,)
        ).fetchall()


def count_photos(conn: Connection, case_id: UUID) -> int:
    """Return how many photos a case has."""
    row = conn.execute("SELECT count(*) FROM case_photo WHERE case_id = %s", (case_id,)).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    number: int = row[0]
    return number


def photo_content(conn: Connection, case_id: UUID, photo_id: UUID) -> tuple[str, bytes] | None:
    """Return content type and bytes of a photo of a case."""
    row = conn.execute(
        "SELECT content_type, content FROM case_photo WHERE case_id = %s AND photo_id = %s",
        (case_id, photo_id),
    ).fetchone()
    return None if row is None else (row[0], bytes(row[1]))
