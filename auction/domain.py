"""What a lot is, and what may be answered to a bid. Frozen values, no I/O."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

PUBLIC_STATES = (
    "published", "open", "suspended", "hammered", "unsold", "withdrawn",
    "paid", "defaulted", "transferred", "handed_over", "closed",
)  # fmt: skip
"""States in which the public sees a lot; the others belong to the staff."""
DECIDED_STATES = ("hammered", "unsold", "paid", "defaulted", "transferred", "handed_over", "closed")
"""States after the hammer fell, or fell for nobody."""


@dataclass(frozen=True, slots=True)
class Step:
    """From this price on, the next bid is at least ``step_minor`` higher."""

    from_minor: int
    step_minor: int


class Rejection(enum.StrEnum):
    """Why a bid was refused; the value is the ``code`` of the answer."""

    LOT_NOT_FOUND = "lot_not_found"
    NOT_STARTED = "not_started"
    LOT_NOT_OPEN = "lot_not_open"
    LOT_CLOSING = "lot_closing"
    LOT_CLOSED = "lot_closed"
    NOT_ELIGIBLE = "not_eligible"
    PRICE_CHANGED = "price_changed"
    OFF_GRID = "off_grid"
    BID_TOO_LOW = "bid_too_low"
    SELF_RAISE_TOO_LOW = "self_raise_too_low"
    CONFIRM_HIGH_REQUIRED = "confirm_high_required"
    BUSY = "busy"

    @property
    def status(self) -> int:
        """Return the HTTP status of the refusal."""
        return _STATUS.get(self, 409)


_STATUS = {
    Rejection.LOT_NOT_FOUND: 404,
    Rejection.NOT_ELIGIBLE: 403,
    Rejection.PRICE_CHANGED: 412,
    Rejection.OFF_GRID: 422,
    Rejection.CONFIRM_HIGH_REQUIRED: 422,
    Rejection.BUSY: 503,
}


@dataclass(frozen=True, slots=True)
class Lot:
    """One row of ``lot``. The maxima are secrets: left out of the repr, so that no log shows them."""

    lot_id: UUID
    number: int
    case_id: UUID
    round_no: int
    attempt: int
    type: str
    org_id: str
    vehicle_id: str
    pack: str
    pack_version: int
    title: str
    description: str
    defects: str
    state: str
    epoch: int
    seq: int
    head_hash: bytes
    currency: str
    start_minor: int
    reserve_minor: int | None = field(repr=False)
    deposit_minor: int
    tick_minor: int
    steps: tuple[Step, ...]
    high_minor: int
    window_ms: int
    extension_ms: int
    drain_ms: int
    starts_at: datetime
    ends_at: datetime
    planned_end_at: datetime
    hard_end_at: datetime | None
    remaining_ms: int | None
    price_minor: int | None
    leader_id: UUID | None
    leader_max_minor: int | None = field(repr=False)
    leader_since: datetime | None
    second_max_minor: int | None = field(repr=False)
    reserve_met: bool
    extension_count: int
    bid_count: int
    next_timer_at: datetime | None
    timer_kind: str | None
    published_at: datetime | None
    hammered_at: datetime | None
    min_resume_ms: int
    outage_guard_ms: int
    outage_grace_ms: int
    outage_id: int
    drafted_by: str
    edited_by: str
    submitted_by: str | None
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def min_next_minor(self) -> int:
        """Return the least amount that the next bid may say."""
        if self.price_minor is None:
            return self.start_minor
        return self.price_minor + step_at(self.steps, self.price_minor)

    @property
    def decided(self) -> bool:
        """Return whether the hammer fell, or fell for nobody."""
        return self.state in DECIDED_STATES


def step_at(steps: tuple[Step, ...], price_minor: int) -> int:
    """Return the increment in force at a price; the table ascends and its first row is from 0."""
    for step in reversed(steps):
        if step.from_minor <= price_minor:
            return step.step_minor
    return steps[0].step_minor


@dataclass(frozen=True, slots=True)
class LotTerms:
    """What disposal staff decide about a sale; the rest comes from the policy pack and the appraisal."""

    title: str
    start_minor: int
    starts_at: datetime
    ends_at: datetime
    description: str = ""
    defects: str = ""
    reserve_minor: int | None = field(default=None, repr=False)
    hard_end_at: datetime | None = None
    round_no: int = 1
    deposit_minor: int | None = None


@dataclass(frozen=True, slots=True)
class LotEvent:
    """One link of a lot's chain: ``hash`` = SHA-256(``prev_hash`` || ``body``)."""

    lot_id: UUID
    seq: int
    kind: str
    actor_code: str
    arrived_at: datetime
    decided_at: datetime
    payload: dict[str, Any] = field(hash=False)
    body: bytes
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class BidAccepted:
    """The bid counts; ``own_max_minor`` is for the bidder's own eyes."""

    bid_id: UUID
    seq: int
    leading: bool
    price_minor: int
    min_next_minor: int
    ends_at: datetime
    extended: bool
    own_max_minor: int = field(repr=False)
    currency: str
    arrived_at: datetime
    decided_at: datetime
    lot_seq: int

    @property
    def status(self) -> str:
        """Return ``leading`` or ``outbid``, as it stood when the bid was decided."""
        return "leading" if self.leading else "outbid"


@dataclass(frozen=True, slots=True)
class BidRefused:
    """The bid does not count; ``facts`` hold only what everybody may know, and the times of this call."""

    rejection: Rejection
    message: str
    facts: Mapping[str, Any] = field(hash=False)

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return self.rejection.status

    @property
    def code(self) -> str:
        """Return the stable code."""
        return self.rejection.value
