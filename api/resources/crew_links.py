"""Links for a crew's phone: made once shown, listed with their uses, ended."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from alerts.recovery import links
from alerts.recovery.domain import CrewLink
from alerts.recovery.store import links as store
from api.deps import Conn, Who
from api.paging import Page
from api.resources.cases import visible_case
from api.resources.recovery_shapes import Body, Name

router = APIRouter(prefix="/cases/{case_id}/crew-links", tags=["recovery"])

NEWEST_VIEWS = 50


class CrewLinkIn(Body):
    """For whom, and how long."""

    crew: Name
    expires_in_hours: Annotated[int, Field(ge=1, le=links.LONGEST_H)] = 12


class ViewOut(BaseModel):
    """One use of a link."""

    at: datetime
    ip: str
    what: str


class CrewLinkOut(BaseModel):
    """A link. ``usable``: not ended, not expired; the page also needs a case with a crew out."""

    id: int
    crew: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    usable: bool
    views: int

    @classmethod
    def of(cls, link: CrewLink) -> CrewLinkOut:
        """Build from the domain's link."""
        return cls(
            id=link.link_id, crew=link.crew, created_by=link.created_by, created_at=link.created_at,
            expires_at=link.expires_at, revoked_at=link.revoked_at,
            usable=link.revoked_at is None and not link.expired, views=link.views,
        )  # fmt: skip


class NewCrewLinkOut(CrewLinkOut):
    """A new link with its token, which is never shown again. The page is at ``path``."""

    token: str
    path: str


class CrewLinkDetail(CrewLinkOut):
    """A link with its newest uses, newest first."""

    newest_views: list[ViewOut]


@router.post("", status_code=201)
def create_crew_link(case_id: UUID, body: CrewLinkIn, conn: Conn, asker: Who) -> NewCrewLinkOut:
    """Make a link for the crew that is out.

    Without an Idempotency-Key: remembering the answer would keep the token, of which we keep a hash alone.
    """
    visible_case(conn, asker, case_id)
    link, token = links.create_link(conn, case_id, asker.actor, body.crew, body.expires_in_hours)
    return NewCrewLinkOut(**CrewLinkOut.of(link).model_dump(), token=token, path=f"/crew/{token}")


@router.get("")
def list_crew_links(case_id: UUID, conn: Conn, asker: Who) -> Page[CrewLinkDetail]:
    """List the links of a case with their uses, newest first."""
    visible_case(conn, asker, case_id)
    found = [
        CrewLinkDetail(
            **CrewLinkOut.of(link).model_dump(),
            newest_views=[
                ViewOut(at=view.at, ip=view.ip, what=view.what)
                for view in store.views_of(conn, link.link_id, NEWEST_VIEWS)
            ],
        )
        for link in store.list_links(conn, case_id)
    ]
    return Page(items=found, next=None)


@router.post("/{link_id}/revoke")
def revoke_crew_link(
    case_id: UUID, link_id: Annotated[int, Path(ge=1, lt=2**63)], conn: Conn, asker: Who
) -> CrewLinkOut:
    """End a link at once."""
    visible_case(conn, asker, case_id)
    return CrewLinkOut.of(links.revoke_link(conn, case_id, link_id, asker.actor))
