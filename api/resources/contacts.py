"""How to reach people: listed without values, shown one at a time for a purpose, and each look logged."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict

from api.auth import Asker
from api.board.people import store as people
from api.deps import Conn, PurposeHeader, Who, Wired
from api.paging import Page
from api.resources.cases import visible_case
from collateral.contacts import book, store
from collateral.contacts.cipher import open_cipher
from core.db.pool import Connection
from core.errors import NotFound

router = APIRouter(prefix="/contacts", tags=["contacts"])

PartyQuery = Annotated[str, Query(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]
ContactId = Annotated[int, Path(ge=1, lt=2**63)]


class ContactOut(BaseModel):
    """A contact without its value. Third parties are not contacted without a reason on record."""

    id: int
    party_id: str
    kind: str
    label: str
    third_party: bool


class RevealIn(BaseModel):
    """For which case, if one."""

    model_config = ConfigDict(extra="forbid")

    case_id: UUID | None = None


class RevealOut(BaseModel):
    """The value in the clear."""

    id: int
    kind: str
    value: str


class LookOut(BaseModel):
    """Somebody saw a value."""

    contact_id: int
    actor: str
    purpose: str
    case_id: str | None
    at: AwareDatetime


@router.get("")
def list_contacts(conn: Conn, asker: Who, party_id: PartyQuery) -> Page[ContactOut]:
    """List the contacts of a pledgor or borrower of your branches."""
    visible_party(conn, asker, party_id)
    return Page(items=[out(contact) for contact in store.contacts_of(conn, [party_id])])


@router.post("/{contact_id}/reveal")
def reveal_contact(
    contact_id: ContactId,
    conn: Conn,
    asker: Who,
    services: Wired,
    purpose: PurposeHeader,
    body: RevealIn | None = None,
) -> RevealOut:
    """Return a contact's value; who, when, why and for which case goes on record."""
    return reveal(conn, asker, services, contact_id, purpose, body.case_id if body else None)


@router.get("/reveals")
def list_reveals(conn: Conn, asker: Who, party_id: PartyQuery) -> Page[LookOut]:
    """List who saw the values of a party, newest first."""
    visible_party(conn, asker, party_id)
    return Page(
        items=[
            LookOut(
                contact_id=look.contact_id, actor=look.actor, purpose=look.purpose, case_id=look.case_id,
                at=look.revealed_at,
            )
            for look in store.reveals_of_party(conn, party_id)
        ]
    )  # fmt: skip


def reveal(
    conn: Connection, asker: Asker, services: Wired, contact_id: int, purpose: str, case_id: UUID | None
) -> RevealOut:
    """Open one value for the API or a page.

    Raises:
        NotFound: no such contact, or of a party outside the asker's branches.
    """
    found = store.get_contact(conn, contact_id)
    if found is None:
        raise NotFound(
            f"Expected a contact of your branches, there is no {contact_id}", code="contact_not_found"
        )
    visible_party(conn, asker, found[0].party_id)
    if case_id is not None:
        visible_case(conn, asker, case_id)
    value = book.reveal(
        conn, open_cipher(services.settings), contact_id, actor=asker.actor, purpose=purpose,
        case_id=None if case_id is None else str(case_id),
    )  # fmt: skip
    return RevealOut(id=contact_id, kind=found[0].kind, value=value)


def visible_party(conn: Connection, asker: Asker, party_id: str) -> None:
    """Refuse a party that has no vehicle in the asker's branches.

    Raises:
        NotFound: as if there were none.
    """
    if not people.party_visible(conn, party_id, asker.org_ids):
        raise NotFound(f"Expected a party of your branches, there is no {party_id}", code="party_not_found")


def out(contact: store.Contact) -> ContactOut:
    """Build from the domain's contact."""
    return ContactOut(
        id=contact.contact_id, party_id=contact.party_id, kind=contact.kind, label=contact.label,
        third_party=contact.third_party,
    )  # fmt: skip
