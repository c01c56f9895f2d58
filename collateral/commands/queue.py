"""Queueing, cancelling and answering commands; the caller owns the transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from collateral.commands import store
from collateral.commands.domain import (
    DEFAULT_EXPIRY,
    LONGEST,
    MAY_FOLLOW,
    MOST_OPEN,
    OPEN,
    SHORTEST,
    Command,
    Kind,
    State,
    check_allowed,
    check_params,
)
from collateral.domain import Purpose, Role
from core.errors import Conflict, NotFound, Rejected

if TYPE_CHECKING:
    from core.db.pool import Connection


class Answer(NamedTuple):
    """What a device said about a command."""

    device_id: str
    command_id: UUID
    state: State
    detail: str


def ask(
    conn: Connection,
    device_id: str,
    kind: Kind,
    params: Mapping[str, Any],
    *,
    purpose: Purpose,
    roles: frozenset[Role],
    actor: str,
    expires_in: timedelta | None = None,
) -> Command:
    """Queue a command; it is sent when the device is online, or when it is heard next.

    Raises:
        Forbidden: not for these roles or this purpose. Rejected: parameters or expiry out of range.
        NotFound: no such device. Conflict: it is revoked, or too many commands wait for it.
    """
    check_allowed(kind, purpose, roles)
    good = check_params(kind, params)
    lasting = expires_in or DEFAULT_EXPIRY
    if not SHORTEST <= lasting <= LONGEST:
        raise Rejected(
            f"Command: expected an expiry of {SHORTEST.total_seconds():.0f} s to {LONGEST.days} days, "
            f"was {lasting.total_seconds():.0f} s",
            code="bad_expiry",
        )
    device = store.lock_device(conn, device_id)
    if device is None:
        raise NotFound(f"Device {device_id}: not registered", code="device_not_found")
    if device.revoked:
        raise Conflict(f"Device {device_id}: revoked, nothing can be sent to it", code="device_revoked")
    if device.open_commands >= MOST_OPEN:
        raise Conflict(
            f"Device {device_id}: expected at most {MOST_OPEN} commands that wait, cancel one",
            code="too_many_commands",
        )
    return store.insert(conn, device_id, kind, good, purpose=purpose, actor=actor, lasting=lasting)


def cancel(conn: Connection, command_id: UUID, *, actor: str) -> Command:
    """Take a command back; one that was sent may be done all the same, and its answer then says so.

    Raises:
        NotFound: no such command. Conflict: it has ended already (``command_over``).
    """
    command = store.get(conn, command_id, lock=True)
    if command is None:
        raise NotFound(f"Expected a command with id {command_id}, found none", code="command_not_found")
    if command.state not in OPEN:
        raise Conflict(f"Command: expected one that waits, was {command.state}", code="command_over")
    store.end(conn, [command_id], State.CANCELLED, by=actor)
    return command_of(conn, command_id)


def command_of(conn: Connection, command_id: UUID) -> Command:
    """Return a command.

    Raises:
        NotFound: there is none.
    """
    command = store.get(conn, command_id)
    if command is None:
        raise NotFound(f"Expected a command with id {command_id}, found none", code="command_not_found")
    return command


def take_answers(conn: Connection, answers: Sequence[Answer]) -> list[int]:
    """Move commands forward by what devices said; returns the places of answers to nothing we asked.

    A repeat, and a ``received`` after the end, change nothing. In id order, so that two batches with
    answers to the same commands wait instead of dead-locking.
    """
    unknown = []
    for place, answer in sorted(enumerate(answers), key=lambda placed: (placed[1].command_id, placed[0])):
        moved = store.answer(
            conn, answer.command_id, answer.device_id, answer.state, answer.detail, MAY_FOLLOW[answer.state]
        )
        if moved is None:
            if not store.is_of(conn, answer.command_id, answer.device_id):
                unknown.append(place)
        elif answer.state is State.DONE and moved.kind == Kind.INTERVAL:
            # The rules on silence go by how often the device has been told to report.
            store.set_intervals(conn, answer.device_id, moved.params)
    return unknown
