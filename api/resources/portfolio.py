"""The portfolio: what is owed and what stands behind it, by branch."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter
from pydantic import BaseModel

from api.board.models import Money
from api.board.value import store
from api.deps import Conn, Who

router = APIRouter(prefix="/portfolio", tags=["portfolio"])


class Bands(BaseModel):
    """Vehicles by LTV, in per cent; each band begins where the one before ends."""

    below_60: int
    from_60: int
    from_70: int
    from_82: int
    from_85: int
    from_100: int
    unknown: int


class BranchOut(BaseModel):
    """One branch in one currency; ``ltv`` counts only vehicles that have a value."""

    org_id: str | None
    name: str
    vehicles: int
    loans: int
    balance: Money
    valued: int
    value: Money
    lending_value: Money
    ltv: float | None
    bands: Bands
    breaches: int
    held_by_model_step: int
    manual_appraisals_open: int
    not_trusted: int
    oldest_mark: date | None


class PortfolioOut(BaseModel):
    """Branches you see, and their totals per currency (``org_id`` null)."""

    branches: list[BranchOut]
    totals: list[BranchOut]


_SUMMED = (
    "vehicles", "loans", "balance_minor", "valued", "valued_balance_minor", "value_minor", "lending_minor",
    "below_60", "from_60", "from_70", "from_82", "from_85", "from_100", "breaches", "held_by_model_step",
    "manual_appraisals_open", "not_trusted",
)  # fmt: skip


@router.get("")
def get_portfolio(conn: Conn, asker: Who) -> PortfolioOut:
    """Return what your branches have lent against what it is worth."""
    rows = store.portfolio(conn, asker.org_ids)
    totals = []
    for currency in sorted({row.currency for row in rows}):
        same = [row for row in rows if row.currency == currency]
        sums = {name: sum(getattr(row, name) for row in same) for name in _SUMMED}
        marks = [row.oldest_mark for row in same if row.oldest_mark is not None]
        totals.append(_out(None, "", currency, sums, min(marks, default=None)))
    branches = [
        _out(
            row.org_id, row.name, row.currency, {name: getattr(row, name) for name in _SUMMED},
            row.oldest_mark,
        )
        for row in rows
    ]  # fmt: skip
    return PortfolioOut(branches=branches, totals=totals)


def _out(
    org_id: str | None, name: str, currency: str, sums: dict[str, int], oldest_mark: date | None
) -> BranchOut:
    value_minor = sums["value_minor"]
    bands = {band: sums[band] for band in Bands.model_fields if band != "unknown"}
    return BranchOut(
        org_id=org_id, name=name, vehicles=sums["vehicles"], loans=sums["loans"],
        balance=Money(amount_minor=sums["balance_minor"], currency=currency), valued=sums["valued"],
        value=Money(amount_minor=value_minor, currency=currency),
        lending_value=Money(amount_minor=sums["lending_minor"], currency=currency),
        ltv=sums["valued_balance_minor"] / value_minor if value_minor else None,
        bands=Bands(**bands, unknown=sums["vehicles"] - sum(bands.values())), breaches=sums["breaches"],
        held_by_model_step=sums["held_by_model_step"],
        manual_appraisals_open=sums["manual_appraisals_open"], not_trusted=sums["not_trusted"],
        oldest_mark=oldest_mark,
    )  # fmt: skip
