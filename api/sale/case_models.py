"""What goes into and comes out of disposal cases."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StrictInt, model_validator

from api.board.models import Money
from api.resources.approvals import ApprovalOut
from api.sale.models import Body, Line, LotOut, Minor, MoneyIn, PositiveMinor, Text
from auction.cases.domain import Appraisal, DisposalCase

CaseState = Literal["open", "selling", "sold", "redeemed", "closed", "reversed"]
BasisKind = Literal[
    "agreement_after_default", "contractual_self_sale", "court_ruling", "judgment", "lease_recovery"
]
CostKind = Literal["recovery", "towing", "storage", "appraisal", "sale", "legal", "other"]


class DisposalCaseIn(Body):
    """A case opened by hand; a recovery that ends in the yard opens its own."""

    vehicle_id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]


class BasisIn(Body):
    """Why the lender may sell."""

    kind: BasisKind
    reference: Line
    dated: date | None = None


class AppraisalIn(Body):
    """What it is worth: an estimate of ours by its id, or the word of an appraiser."""

    estimate_id: Annotated[StrictInt, Field(ge=1, lt=2**63)] | None = None
    value: MoneyIn | None = None
    low: MoneyIn | None = None
    high: MoneyIn | None = None
    appraiser: Line | None = None
    reference: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] = ""
    valued_on: date | None = None

    @model_validator(mode="after")
    def _one_source(self) -> AppraisalIn:
        by_hand = (self.value, self.low, self.high, self.appraiser, self.valued_on)
        if self.estimate_id is not None:
            if any(part is not None for part in by_hand):
                raise ValueError("expected estimate_id alone, or an appraisal by hand")
        elif self.value is None or self.appraiser is None or self.valued_on is None:
            raise ValueError("expected estimate_id, or value, appraiser and valued_on")
        return self


class RoundIn(Body):
    """The terms of a sale; what is left out comes from the pack and the appraisal."""

    title: Line
    start_minor: PositiveMinor
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    description: Text = ""
    defects: Text = ""
    reserve_minor: PositiveMinor | None = None
    deposit_minor: Minor | None = None
    round: Annotated[StrictInt, Field(ge=1, le=9)] = 1


class CostIn(Body):
    """A cost of the disposal, with its receipt."""

    kind: CostKind
    amount: MoneyIn
    receipt: Line


class LenderClaimIn(Body):
    """What the lender claims, by its statement. ``received_minor``: what the borrower really got."""

    received_minor: Minor
    principal_minor: Minor
    interest_minor: Minor
    accrues_from: date
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    reference: Line


class JuniorClaimIn(Body):
    """A later-ranked claim on the vehicle."""

    rank: Annotated[StrictInt, Field(ge=1, le=99)]
    claimant: Line
    amount: MoneyIn
    reference: Line


class BasisOut(BaseModel):
    """Why the lender may sell."""

    kind: str
    reference: str
    dated: date | None
    recorded_by: str | None


class AppraisalOut(BaseModel):
    """An appraisal; the newest of a case counts."""

    id: UUID
    value: Money
    low: Money | None
    high: Money | None
    method: str
    estimate_id: int | None
    appraiser: str
    reference: str
    valued_on: date
    recorded_by: str
    recorded_at: datetime

    @classmethod
    def of(cls, row: Appraisal) -> AppraisalOut:
        """Build from the domain's appraisal."""

        def money(amount_minor: int | None) -> Money | None:
            return None if amount_minor is None else Money(amount_minor=amount_minor, currency=row.currency)

        return cls(
            id=row.appraisal_id, value=Money(amount_minor=row.value_minor, currency=row.currency),
            low=money(row.low_minor), high=money(row.high_minor), method=row.method,
            estimate_id=row.estimate_id, appraiser=row.appraiser, reference=row.reference,
            valued_on=row.valued_on, recorded_by=row.recorded_by, recorded_at=row.recorded_at,
        )  # fmt: skip


class CostOut(BaseModel):
    """A cost; ``waiting`` needs a second person, because the cap of its kind is passed."""

    id: UUID
    kind: str
    amount: Money
    receipt: str
    state: str
    recorded_by: str
    recorded_at: datetime
    approval: ApprovalOut | None = None


class DisposalCaseOut(BaseModel):
    """A case as a list shows it."""

    id: UUID
    number: int
    recovery_case_id: UUID | None
    vehicle_id: str
    loan_id: str | None
    org_id: str
    state: str
    pack: str
    basis: BasisOut | None
    opened_by: str
    opened_at: datetime
    repossessed_at: datetime | None
    valued_at: datetime | None
    published_at: datetime | None
    hammer_at: datetime | None
    paid_at: datetime | None
    transferred_at: datetime | None
    closed_at: datetime | None
    version: int

    @classmethod
    def of(cls, case: DisposalCase) -> DisposalCaseOut:
        """Build from the domain's case."""
        basis = None
        if case.basis_kind is not None:
            basis = BasisOut(
                kind=case.basis_kind, reference=case.basis_reference or "", dated=case.basis_dated,
                recorded_by=case.basis_by,
            )  # fmt: skip
        return cls(
            id=case.case_id, number=case.number, recovery_case_id=case.recovery_case_id,
            vehicle_id=case.vehicle_id, loan_id=case.loan_id, org_id=case.org_id, state=case.state,
            pack=case.pack, basis=basis, opened_by=case.opened_by, opened_at=case.opened_at,
            repossessed_at=case.repossessed_at, valued_at=case.valued_at, published_at=case.published_at,
            hammer_at=case.hammer_at, paid_at=case.paid_at, transferred_at=case.transferred_at,
            closed_at=case.closed_at, version=case.version,
        )  # fmt: skip


class DisposalCaseDetail(DisposalCaseOut):
    """A case with its appraisals (newest first), costs, lots and settlement."""

    appraisal: AppraisalOut | None
    appraisals: list[AppraisalOut]
    floor: Money | None = Field(description="The least start price that the pack allows for the appraisal.")
    costs: list[CostOut]
    lots: list[LotOut]
    settlement_ids: list[UUID]
