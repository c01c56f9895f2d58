"""Which figure LTV is measured against. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from valuation.vehicles.domain import Valued

MODEL, MANUAL, LENDING, NONE = "model", "manual_appraisal", "lending_value", "none"


@dataclass(frozen=True, slots=True)
class Basis:
    """``kind`` as in ltv_mark; ``minor`` is None when there is no figure."""

    kind: str
    minor: int | None


def basis_of(valued: Valued) -> Basis:
    """Return a person's figure in force; else, while one is awaited, the lending value; else the model's.

    A vehicle that was flooded is not worth what the model says, which knows nothing of floods. So a person's
    figure stands above the model whether it is lower or higher.
    """
    figure = valued.appraisal_in_force
    if figure is not None and figure.value_minor is not None:
        return Basis(MANUAL, figure.value_minor)
    awaited = valued.facts.open_appraisal_id is not None
    kind, minor = (LENDING, valued.lending_minor) if awaited else (MODEL, valued.estimate_minor)
    return Basis(kind, minor) if minor else Basis(NONE, None)
