"""The states of a case, and the only ways between them.

``new`` does not lead to ``dispatched``: nobody is sent before somebody has looked where the vehicle is.
A visit that fails leads back to ``locating``; every next visit is a dispatch of its own, judged anew.
A vehicle in the yard leaves it by release, or by its sale, which closes the case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.errors import Conflict, Forbidden

STATES = ("new", "locating", "dispatched", "recovered", "in_yard", "released", "closed")
Doer = Literal["staff", "crew", "disposal"]


@dataclass(frozen=True, slots=True)
class Edge:
    """``who`` may go this way: staff, the crew of a link too, or the sale alone."""

    before: str
    after: str
    who: Doer
    needs: str


TRANSITIONS = (
    Edge("new", "locating", "staff", ""),
    Edge("new", "closed", "staff", "a reason"),
    Edge("locating", "dispatched", "staff", "a legal ground in force, and a claim that may be enforced"),
    Edge("locating", "closed", "staff", "a reason"),
    Edge("dispatched", "locating", "crew", "why the visit failed"),
    Edge("dispatched", "recovered", "crew", "the ground and the claim, looked at again"),
    Edge("recovered", "in_yard", "crew", "intake, a photo, the belongings"),
    Edge("recovered", "released", "staff", "released or redeemed, and why"),
    Edge("in_yard", "released", "staff", "released or redeemed, and why"),
    Edge("in_yard", "closed", "disposal", "the disposal case closed"),
    Edge("released", "closed", "staff", "a reason"),
)

_BY_PAIR = {(edge.before, edge.after): edge for edge in TRANSITIONS}
_MAY: dict[Doer, frozenset[Doer]] = {
    "staff": frozenset({"staff", "crew"}),
    "crew": frozenset({"crew"}),
    "disposal": frozenset({"disposal"}),
}
"""Who goes which edges."""


def edge_between(before: str, after: str, doer: Doer = "staff") -> Edge:
    """Return the edge of a pair of states.

    Raises:
        Conflict: there is none, or only a sale goes it (``bad_edge``).
        Forbidden: staff may, a crew may not (``staff_only``).
    """
    edge = _BY_PAIR.get((before, after))
    if edge is not None and edge.who in _MAY[doer]:
        return edge
    if edge is not None and doer == "crew":
        raise Forbidden(
            f"Expected staff to move a case from {before} to {after}, was a crew", code="staff_only"
        )
    origins = [edge.before for edge in TRANSITIONS if edge.after == after and edge.who in _MAY[doer]]
    raise Conflict(
        f"Expected a case that is {' or '.join(origins) or 'in another state'} for {after}, was {before}",
        code="bad_edge", state=before, to=after,
    )  # fmt: skip


def moves_from(state: str, doer: Doer = "staff") -> tuple[str, ...]:
    """Return where somebody may take a case from a state."""
    return tuple(edge.after for edge in TRANSITIONS if edge.before == state and edge.who in _MAY[doer])
