"""The models of the sale that several resources share. Nothing here has a maximum or an identity in it."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from api.board.models import Money

if TYPE_CHECKING:
    from auction.domain import Lot

MOST_MINOR = 10**15
"""Ten trillion yuan: sums and steps above any amount that is let in still fit a bigint."""

Minor = Annotated[StrictInt, Field(ge=0, le=MOST_MINOR)]
"""Whole minor units: a float, a text or a truth value is refused, not rounded."""
PositiveMinor = Annotated[StrictInt, Field(ge=1, le=MOST_MINOR)]
Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Reason = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]


class Body(BaseModel):
    """What somebody sends: no field that we do not know."""

    model_config = ConfigDict(extra="forbid")


class MoneyIn(Body):
    """An amount somebody sends: strictly whole minor units, at least one."""

    amount_minor: PositiveMinor
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class VehicleFacts(BaseModel):
    """What a buyer may know of the vehicle before the sale; no plate, no VIN, no owner."""

    make: str | None = None
    model: str | None = None
    model_year: int | None = None
    colour: str | None = None
    first_registration: date | None = None
    use_character: str | None = None
    emission_stage: str | None = None


class StepOut(BaseModel):
    """From this price on, a bid is at least so much higher."""

    from_minor: int
    step_minor: int


class LotOut(BaseModel):
    """A lot as everybody sees it. ``leader_code`` is a pseudonym of this lot alone."""

    id: UUID
    number: int
    case_id: UUID
    round: int
    type: str
    state: str
    title: str
    description: str
    defects: str
    vehicle: VehicleFacts
    starts_at: datetime
    ends_at: datetime
    planned_end_at: datetime
    start_price: Money
    price: Money | None
    min_next: Money = Field(description="The lowest bid that would count while the lot is open.")
    leader_code: str | None
    seq: int
    bid_count: int
    extension_count: int
    deposit: Money
    steps: list[StepOut]
    tick: Money
    high: Money = Field(description="A maximum above it has to be confirmed.")
    window_ms: int
    extension_ms: int
    terms_version: str
    published_at: datetime | None
    hammered_at: datetime | None
    version: int
    words: dict[str, str] = Field(description="What screens call things in this market (zh-CN).")
    server_time: datetime = Field(description="The database's time; a countdown is ends_at minus it.")


class EventOut(BaseModel):
    """One event of a lot's chain; ``seq`` has no gaps."""

    lot_id: UUID
    seq: int
    kind: str
    actor_code: str
    arrived_at: datetime
    decided_at: datetime
    payload: dict[str, Any]
    hash: str


class BidLine(BaseModel):
    """A bid as everybody sees it: the price it made, not the maximum behind it."""

    seq: int
    code: str
    price: Money
    arrived_at: datetime
    auto: bool
    extended: bool


def lot_etag(lot: Lot) -> str:
    """Return the ETag: the event number, which is what changes while people watch.

    Edits of a draft and the steps after the hammer change the lot without a public event.
    """
    if lot.state in {"draft", "review"}:
        return f'"lot-{lot.seq}.{lot.version}"'
    if lot.state in {"paid", "defaulted", "transferred", "handed_over", "closed"}:
        return f'"lot-{lot.seq}.{lot.state}"'
    return f'"lot-{lot.seq}"'


State = Literal[
    "draft", "review", "published", "open", "suspended", "hammered", "unsold", "withdrawn", "paid",
    "defaulted", "transferred", "handed_over", "closed",
]  # fmt: skip
