"""Who gets how much of the price. Pure, whole minor units; its legs add up to the proceeds exactly.

Order: costs, interest, principal, later-ranked claims by rank, the rest to the pledgor. Interest is
recomputed on the principal that the borrower really received and capped; what was claimed beyond is shown,
never collected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cap:
    """The most interest that may be collected: simple, yearly, by actual days."""

    yearly_pct: int
    day_count: int
    days: int

    def most_minor(self, principal_minor: int) -> int:
        """Return the cap for a principal, rounded down."""
        return principal_minor * self.yearly_pct * max(0, self.days) // (100 * self.day_count)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the lender claims, as claimed; ``received_minor`` is the principal really paid out."""

    received_minor: int
    principal_minor: int
    interest_minor: int


@dataclass(frozen=True, slots=True)
class Leg:
    """One share of what was due; ``who`` names a cost line, the lender, a claimant or the pledgor."""

    kind: str
    who: str
    due_minor: int
    gets_minor: int


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The division. ``excess_*`` was claimed and is not collected from anybody."""

    proceeds_minor: int
    forfeited_minor: int
    legs: tuple[Leg, ...]
    shortfall_minor: int
    interest_cap_minor: int
    excess_interest_minor: int
    excess_principal_minor: int

    def gets_minor(self, *kinds: str) -> int:
        """Return what the legs of these kinds get together."""
        return sum(leg.gets_minor for leg in self.legs if leg.kind in kinds)

    @property
    def surplus_minor(self) -> int:
        """Return what goes to the pledgor."""
        return self.gets_minor("surplus")


def divide(
    proceeds_minor: int,
    forfeited_minor: int,
    costs: Sequence[tuple[str, int]],
    claim: Claim,
    cap: Cap,
    juniors: Sequence[tuple[str, int]],
) -> Waterfall:
    """Divide the price and what defaulted buyers forfeited; ``juniors`` come in the order of their rank."""
    principal_minor = min(claim.principal_minor, claim.received_minor)
    cap_minor = cap.most_minor(principal_minor)
    interest_minor = min(claim.interest_minor, cap_minor)
    due = [
        *(("cost", what, amount_minor) for what, amount_minor in costs),
        ("interest", "lender", interest_minor),
        ("principal", "lender", principal_minor),
        *(("junior", who, amount_minor) for who, amount_minor in juniors),
    ]
    left_minor = proceeds_minor + forfeited_minor
    legs = []
    for kind, who, due_minor in due:
        gets_minor = min(left_minor, due_minor)
        left_minor -= gets_minor
        legs.append(Leg(kind, who, due_minor, gets_minor))
    legs.append(Leg("surplus", "pledgor", left_minor, left_minor))
    # Later-ranked claims stay between their holders and the debtor; the lender's shortfall is the debtor's.
    shortfall_minor = sum(
        leg.due_minor - leg.gets_minor for leg in legs if leg.kind in {"cost", "interest", "principal"}
    )
    return Waterfall(
        proceeds_minor,
        forfeited_minor,
        tuple(legs),
        shortfall_minor,
        cap_minor,
        claim.interest_minor - interest_minor,
        claim.principal_minor - principal_minor,
    )
