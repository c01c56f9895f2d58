"""Consent to be located: which text, for which purposes, by whom, until when."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.deps import Conn, Who
from api.idempotency.once import OnlyOnce
from api.paging import Page
from api.resources.contacts import visible_party
from api.resources.vehicles import visible_vehicle
from collateral.consents import book, store
from collateral.domain import Purpose
from core.clock import wall_now
from core.errors import NotFound

router = APIRouter(prefix="/consents", tags=["people"])

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/]+$")]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*\S[^\x00]*$")]


class ConsentIn(BaseModel):
    """A signed notice; the hash pins the text."""

    model_config = ConfigDict(extra="forbid")

    party_id: Id
    vehicle_id: Id
    text_version: Text
    text_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=6)]
    signer: Text
    channel: Literal["paper", "e_signature", "app", "counter"]
    given_at: AwareDatetime


class RevocationIn(BaseModel):
    """How it was taken back; ``at`` null: now."""

    model_config = ConfigDict(extra="forbid")

    how: Text
    at: AwareDatetime | None = None


class ConsentOut(BaseModel):
    """A consent on record."""

    id: int
    party_id: str
    vehicle_id: str
    text_version: str
    text_sha256: str
    purposes: list[str]
    signer: str
    channel: str
    given_at: AwareDatetime
    recorded_by: str
    revoked_at: AwareDatetime | None
    revoked_how: str | None

    @classmethod
    def of(cls, consent: store.Consent) -> ConsentOut:
        """Build from the domain's consent."""
        return cls(
            id=consent.consent_id, party_id=consent.party_id, vehicle_id=consent.vehicle_id,
            text_version=consent.text_version, text_sha256=bytes(consent.text_sha256).hex(),
            purposes=list(consent.purposes), signer=consent.signer, channel=consent.channel,
            given_at=consent.given_at, recorded_by=consent.recorded_by, revoked_at=consent.revoked_at,
            revoked_how=consent.revoked_how,
        )  # fmt: skip


@router.get("")
def list_consents(
    conn: Conn, asker: Who, vehicle_id: Annotated[str, Query(max_length=64)]
) -> Page[ConsentOut]:
    """List the consents about a vehicle, newest first."""
    visible_vehicle(conn, asker, vehicle_id)
    return Page(items=list(map(ConsentOut.of, store.consents_of_vehicle(conn, vehicle_id))))


@router.post("", status_code=201)
def record_consent(body: ConsentIn, conn: Conn, asker: Who, once: OnlyOnce) -> ConsentOut:
    """Record a consent; the same one twice is one."""
    visible_vehicle(conn, asker, body.vehicle_id)
    visible_party(conn, asker, body.party_id)

    def make() -> ConsentOut:
        given = book.give(
            conn,
            store.Consent(
                party_id=body.party_id, vehicle_id=body.vehicle_id, text_version=body.text_version,
                text_sha256=bytes.fromhex(body.text_sha256),
                purposes=tuple(sorted({purpose.value for purpose in body.purposes})), signer=body.signer,
                channel=body.channel, given_at=body.given_at, recorded_by=asker.actor,
            ),
        )  # fmt: skip
        return ConsentOut.of(given)

    return once(ConsentOut, make)


@router.post("/{consent_id}/revoke")
def revoke_consent(
    consent_id: Annotated[int, Path(ge=1, lt=2**63)], body: RevocationIn, conn: Conn, asker: Who
) -> ConsentOut:
    """Record that a consent was taken back; twice is once."""
    consent = store.get_consent(conn, consent_id)
    if consent is None:
        raise NotFound(f"Expected a consent, there is no {consent_id}", code="consent_not_found")
    visible_vehicle(conn, asker, consent.vehicle_id)
    return ConsentOut.of(book.revoke(conn, consent_id, at=body.at or wall_now(), how=body.how))
