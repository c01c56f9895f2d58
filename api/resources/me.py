"""Who am I: for a program that wants to know what its token is good for."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from api.deps import Who

router = APIRouter(tags=["people"])


class Me(BaseModel):
    """The asker: roles, own branch, and the branches seen."""

    actor: str
    name: str
    roles: list[str]
    org_id: str
    org_ids: list[str]


@router.get("/me")
def whoami(asker: Who) -> Me:
    """Return what the API knows of you."""
    return Me(
        actor=asker.actor, name=asker.name, roles=sorted(asker.roles), org_id=asker.org_id,
        org_ids=list(asker.org_ids),
    )  # fmt: skip
