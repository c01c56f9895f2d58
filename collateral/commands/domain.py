"""What can be asked of a device, by whom, with which numbers, for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from collateral.domain import Purpose, Role
from core.errors import Forbidden, Rejected

HOUR_S = 3_600
DAY_S = 86_400
SHORTEST = timedelta(seconds=30)
LONGEST = timedelta(days=30)
DEFAULT_EXPIRY = timedelta(hours=48)
"""Two nights: a wireless tracker that wakes once a day hears it."""
MOST_OPEN = 10
"""Commands of one device that wait at once; a modem that sleeps for a week must not wake to a hundred."""


class Kind(StrEnum):
    """What a device is asked to do."""

    LOCATE = "locate"
    TRACK = "track"
    INTERVAL = "interval"
    REBOOT = "reboot"


class State(StrEnum):
    """How far a command has come."""

    QUEUED = "queued"
    SENT = "sent"
    RECEIVED = "received"
    DONE = "done"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


OPEN = (State.QUEUED, State.SENT, State.RECEIVED)

MAY_FOLLOW: Mapping[State, tuple[State, ...]] = {
    State.RECEIVED: (State.QUEUED, State.SENT, State.EXPIRED),
    State.DONE: (State.QUEUED, State.SENT, State.RECEIVED, State.EXPIRED, State.CANCELLED),
    State.REFUSED: (State.QUEUED, State.SENT, State.RECEIVED, State.EXPIRED, State.CANCELLED),
}
"""Answer of the device -> the states that it changes. What the device did outweighs what we assumed: an
answer that comes after the expiry or the cancellation says that it had heard the command all the same."""

PARAMETERS: Mapping[Kind, Mapping[str, tuple[int, int]]] = {
    Kind.LOCATE: {},
    Kind.TRACK: {"interval_s": (5, HOUR_S), "duration_s": (60, DAY_S)},
    Kind.INTERVAL: {"moving_s": (5, DAY_S), "parked_s": (5, DAY_S), "sleep_s": (60, 7 * DAY_S)},
    Kind.REBOOT: {},
}
"""Kind -> parameter -> least and most; whole seconds."""

WHO: Mapping[Kind, frozenset[Role]] = {
    Kind.LOCATE: frozenset({Role.ADMIN, Role.RECOVERY, Role.DEVICE_MANAGER}),
    Kind.TRACK: frozenset({Role.ADMIN, Role.RECOVERY}),
    Kind.INTERVAL: frozenset({Role.ADMIN, Role.DEVICE_MANAGER}),
    Kind.REBOOT: frozenset({Role.ADMIN, Role.DEVICE_MANAGER}),
}
WHAT_FOR: Mapping[Kind, frozenset[Purpose]] = {
    # To ask a device where it is is to read a location; following it needs more of a reason.
    Kind.LOCATE: frozenset(
        {Purpose.COLLECTION, Purpose.RECOVERY, Purpose.RISK_REVIEW, Purpose.SUPPORT, Purpose.TEST}
    ),
    Kind.TRACK: frozenset({Purpose.RECOVERY, Purpose.TEST}),
    Kind.INTERVAL: frozenset({Purpose.RECOVERY, Purpose.RISK_REVIEW, Purpose.SUPPORT, Purpose.TEST}),
    Kind.REBOOT: frozenset({Purpose.SUPPORT, Purpose.TEST}),
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it is stored."""

    command_id: UUID
    number: int
    device_id: str
    vehicle_id: str | None
    kind: str
    params: dict[str, Any]
    purpose: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    state: str
    tries: int
    sent_at: datetime | None
    received_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None
    detail: str


def check_allowed(kind: Kind, purpose: Purpose, roles: frozenset[Role]) -> None:
    """Refuse a kind that none of the roles may ask for, or not for this purpose.

    Raises:
        Forbidden: codes ``command_not_yours``, ``purpose_not_enough``.
    """
    if not roles & WHO[kind]:
        raise Forbidden(
            f"Command {kind}: expected one of the roles {', '.join(sorted(WHO[kind]))}, "
            f"was {', '.join(sorted(roles))}",
            code="command_not_yours",
        )
    if purpose not in WHAT_FOR[kind]:
        raise Forbidden(
            f"Command {kind}: expected a purpose of {', '.join(sorted(WHAT_FOR[kind]))}, was {purpose}",
            code="purpose_not_enough",
        )


def check_params(kind: Kind, params: Mapping[str, Any]) -> dict[str, int]:
    """Return the parameters when they are those of the kind.

    Raises:
        Rejected: an unknown or missing one, or a number out of range (``bad_command_params``).
    """
    limits = PARAMETERS[kind]
    unknown = sorted(set(params) - set(limits))
    needed = set(limits) if kind is Kind.TRACK else set()
    missing = sorted(needed - set(params))
    if unknown or missing or (kind is Kind.INTERVAL and not params):
        raise Rejected(
            f"Command {kind}: expected {', '.join(limits) or 'no parameters'}, "
            f"was {', '.join(sorted(params)) or 'none'}",
            code="bad_command_params",
        )
    for name, value in params.items():
        least, most = limits[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Rejected(
                f"Command {kind}: {name}: expected a whole number of {least}-{most}, was {value!r}",
                code="bad_command_params",
            )
    return {name: params[name] for name in limits if name in params}
