"""Cases: what people do about a vehicle, opened from an alert, with notes and attempts to reach somebody."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from alerts.cases import actions, store
from api.auth import Asker
from api.deps import Conn, Who
from api.idempotency.once import OnlyOnce
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.alerts import Reason, visible_alert
from core.db.pool import Connection

router = APIRouter(prefix="/cases", tags=["cases"])


class CaseIn(BaseModel):
    """A case begins with an alert."""

    model_config = ConfigDict(extra="forbid")

    alert_id: UUID
    title: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] = ""


class NoteIn(BaseModel):
    """A note."""

    model_config = ConfigDict(extra="forbid")

    text: Reason


class ClosingIn(BaseModel):
    """Why the case is over."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class EntryOut(BaseModel):
    """One line of a case."""

    id: int
    at: datetime
    actor: str
    kind: str
    text: str
    facts: dict[str, Any]


class CaseOut(BaseModel):
    """A case as a list shows it."""

    id: UUID
    number: int
    vehicle_id: str
    org_id: str
    state: str
    title: str
    opened_by: str
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    version: int
    recovered_at: datetime | None
    in_yard_at: datetime | None
    released_at: datetime | None

    @classmethod
    def of(cls, case: store.CaseFile) -> CaseOut:
        """Build from the domain's case."""
        return cls(
            id=case.case_id, number=case.number, vehicle_id=case.vehicle_id, org_id=case.org_id,
            state=case.state, title=case.title, opened_by=case.opened_by, opened_at=case.opened_at,
            closed_at=case.closed_at, close_reason=case.close_reason, version=case.version,
            recovered_at=case.recovered_at, in_yard_at=case.in_yard_at, released_at=case.released_at,
        )  # fmt: skip


class CaseDetail(CaseOut):
    """A case with its alerts and its entries, oldest first."""

    alert_ids: list[UUID]
    entries: list[EntryOut]


@router.get("")
def list_cases(
    conn: Conn,
    asker: Who,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[CaseOut]:
    """List the cases of your branches, newest first."""
    key = decode(cursor, int)
    rows = store.list_cases(
        conn, org_ids=asker.org_ids, vehicle_id=vehicle_id,
        before_number=int(key[0]) if key else None, limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda case: (case.number,))
    return Page(items=list(map(CaseOut.of, shown)), next=following)


@router.post("", status_code=201)
def open_case(body: CaseIn, conn: Conn, asker: Who, once: OnlyOnce) -> CaseDetail:
    """Open a case from an alert; an alert that is in an open case already returns that one."""
    visible_alert(conn, asker, body.alert_id)

    def make() -> CaseDetail:
        return detail(conn, actions.open_case(conn, body.alert_id, asker.actor, body.title))

    return once(CaseDetail, make)


@router.get("/{case_id}")
def get_case(case_id: UUID, conn: Conn, asker: Who) -> CaseDetail:
    """Return a case."""
    return detail(conn, visible_case(conn, asker, case_id))


@router.post("/{case_id}/notes", status_code=201)
def add_case_note(case_id: UUID, body: NoteIn, conn: Conn, asker: Who, once: OnlyOnce) -> EntryOut:
    """Write a note."""
    visible_case(conn, asker, case_id)
    return once(EntryOut, lambda: entry_out(actions.add_note(conn, case_id, asker.actor, body.text)))


@router.post("/{case_id}/close")
def close_case(case_id: UUID, body: ClosingIn, conn: Conn, asker: Who) -> CaseDetail:
    """Close a case with a reason."""
    visible_case(conn, asker, case_id)
    return detail(conn, actions.close(conn, case_id, asker.actor, body.reason))


def visible_case(conn: Connection, asker: Asker, case_id: UUID) -> store.CaseFile:
    """Return a case of the asker's branches.

    Raises:
        NotFound: there is none, or it belongs to another branch.
    """
    case = store.get_case(conn, case_id)
    asker.require_org(case.org_id, f"a case with id {case_id}")
    return case


def detail(conn: Connection, case: store.CaseFile) -> CaseDetail:
    """Return a case with what is in it."""
    return CaseDetail(
        **CaseOut.of(case).model_dump(),
        alert_ids=store.alerts_of_case(conn, case.case_id),
        entries=list(map(entry_out, store.entries(conn, case.case_id))),
    )


def entry_out(entry: store.CaseEntry) -> EntryOut:
    """Build from the domain's entry."""
    return EntryOut(
        id=entry.entry_id, at=entry.at, actor=entry.actor, kind=entry.kind, text=entry.text, facts=entry.facts
    )
