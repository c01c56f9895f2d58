"""Pledgors and borrowers, under pseudonyms; a borrower need not be the pledgor."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from api.board.people import store
from api.deps import Conn, Who
from api.paging import Cursor, Limit, Page, cut, decode
from core.errors import NotFound

router = APIRouter(prefix="/pledgors", tags=["people"])

PartyId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/]+$")]


class PledgorOut(BaseModel):
    """A party: the vehicles it pledged, and the loans it owes."""

    party_id: str
    alias: str
    kind: str
    vehicle_ids: list[str]
    loan_ids: list[str]

    @classmethod
    def of(cls, row: store.PartyRow) -> PledgorOut:
        """Build from a row."""
        return cls(
            party_id=row.party_id, alias=row.alias, kind=row.kind, vehicle_ids=row.vehicle_ids,
            loan_ids=row.loan_ids,
        )  # fmt: skip


@router.get("")
def list_pledgors(conn: Conn, asker: Who, limit: Limit = 100, cursor: Cursor = None) -> Page[PledgorOut]:
    """List the parties tied to vehicles of your branches, by id."""
    after = decode(cursor, str)
    rows = store.parties(
        conn, asker.org_ids, party_ids=None, after=str(after[0]) if after else None, limit=limit + 1
    )
    shown, following = cut(rows, limit, lambda row: (row.party_id,))
    return Page(items=list(map(PledgorOut.of, shown)), next=following)


@router.get("/{party_id}")
def get_pledgor(party_id: PartyId, conn: Conn, asker: Who) -> PledgorOut:
    """Return one party."""
    rows = store.parties(conn, asker.org_ids, party_ids=[party_id], after=None, limit=1)
    if not rows:
        raise NotFound(f"Expected a party of your branches, there is no {party_id}", code="party_not_found")
    return PledgorOut.of(rows[0])
