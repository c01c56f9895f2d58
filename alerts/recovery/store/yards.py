"""SQL of yards, intakes and belongings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import class_row

from alerts.recovery.domain import Belonging, Intake, RecordedIntake, Yard

if TYPE_CHECKING:
    from uuid import UUID

    from core.db.pool import Connection

_YARD = ", ".join(Yard.__dataclass_fields__)
_INTAKE = tuple(Intake.__dataclass_fields__)
_BELONGING = ", ".join(Belonging.__dataclass_fields__)


def save_yard(conn: Connection, yard: Yard) -> None:
    """Write a yard, or change it."""
    conn.execute(
        f"INSERT INTO yard ({_YARD}) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (yard_id) DO UPDATE SET"
        " name = EXCLUDED.name, org_id = EXCLUDED.org_id, lat = EXCLUDED.lat, lon = EXCLUDED.lon,"
        " address = EXCLUDED.address, updated_at = clock_timestamp()",
        (yard.yard_id, yard.name, yard.org_id, yard.lat, yard.lon, yard.address),
    )


def get_yard(conn: Connection, yard_id: str) -> Yard | None:
    """Return one yard."""
    with conn.cursor(row_factory=class_row(Yard)) as cursor:
        return cursor.execute(f"SELECT {_YARD} FROM yard WHERE yard_id = %s", (yard_id,)).fetchone()


def list_yards(conn: Connection) -> list[Yard]:
    """Return every yard of the lender; a branch may bring a vehicle to the yard of another."""
    with conn.cursor(row_factory=class_row(Yard)) as cursor:
        return cursor.execute(f"SELECT {_YARD} FROM yard ORDER BY name, yard_id").fetchall()


def save_intake(conn: Connection, case_id: UUID, intake: Intake, recorded_by: str) -> None:
    """Write the intake, or correct it while the vehicle is not booked in yet."""
    conn.execute(
        f"INSERT INTO yard_intake (case_id, recorded_by, {', '.join(_INTAKE)})"
        f" VALUES (%s, %s, {', '.join(['%s'] * len(_INTAKE))}) ON CONFLICT (case_id) DO UPDATE SET"
        f" {', '.join(f'{name} = EXCLUDED.{name}' for name in _INTAKE)},"
        " recorded_by = EXCLUDED.recorded_by, at = clock_timestamp()",
        (case_id, recorded_by, *(getattr(intake, name) for name in _INTAKE)),
    )


def get_intake(conn: Connection, case_id: UUID) -> RecordedIntake | None:
    """Return the intake of a case."""
    row = conn.execute(
        f"SELECT i.case_id, y.name, i.recorded_by, i.at, {', '.join('i.' + name for name in _INTAKE)}"
        " FROM yard_intake i JOIN yard y USING (yard_id) WHERE i.case_id = %s",
        (case_id,),
    ).fetchone()
    return None if row is None else RecordedIntake(row[0], Intake(*row[4:]), row[1], row[2], row[3])


def insert_belonging(conn: Connection, case_id: UUID, item: str, quantity: int, by: str) -> Belonging:
    """Write a thing down."""
    with conn.cursor(row_factory=class_row(Belonging)) as cursor:
        belonging = cursor.execute(
            "INSERT INTO case_belonging (case_id, item, quantity, recorded_by) VALUES (%s, %s, %s, %s)"
            f" RETURNING {_BELONGING}",
            (case_id, item, quantity, by),
        ).fetchone()
    assert belonging is not None  # noqa: S101 - RETURNING of an insert has a row
    return belonging


def list_belongings(conn: Connection, case_id: UUID) -> list[Belonging]:
    """Return the inventory of a case, in the order of its writing."""
    with conn.cursor(row_factory=class_row(Belonging)) as cursor:
        return cursor.execute(
            f"SELECT {_BELONGING} FROM case_belonging WHERE case_id = %s ORDER BY belonging_id", (case_id,)
        ).fetchall()


def return_belonging(conn: Connection, belonging_id: int, *, to: str, by: str) -> None:
    """Note to whom a thing was given back."""
    conn.execute(
        "UPDATE case_belonging SET returned_at = clock_timestamp(), returned_to = %s, returned_by = %s"
        " WHERE belonging_id = %s",
        (to, by, belonging_id),
    )
