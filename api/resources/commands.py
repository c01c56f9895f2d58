"""Commands to devices: ask for a purpose, see how far each has come, take one back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Asker
from api.board.devices import store as devices
from api.deps import Conn, Looking, Viewing, Who
from api.idempotency.once import OnlyOnce
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.devices import DeviceId
from collateral.commands import queue, store
from collateral.commands.domain import LONGEST, SHORTEST, Command, Kind, State
from core.db.pool import Connection
from core.errors import NotFound

router = APIRouter(tags=["commands"])

LEAST_S, MOST_S = int(SHORTEST.total_seconds()), int(LONGEST.total_seconds())


class CommandIn(BaseModel):
    """What the device is asked to do; ``params`` by kind (docs/commands.md), expiry 48 h unless told."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    params: dict[Annotated[str, Field(max_length=32)], Annotated[int, Field(strict=True)]] = Field(
        default_factory=dict, max_length=8
    )
    expires_in_s: Annotated[int, Field(ge=LEAST_S, le=MOST_S)] | None = None


class CommandOut(BaseModel):
    """A command and how far it has come."""

    id: UUID
    number: int
    device_id: str
    vehicle_id: str | None
    kind: Kind
    params: dict[str, Any]
    purpose: str
    state: State
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    tries: int
    sent_at: datetime | None
    received_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None
    detail: str

    @classmethod
    def of(cls, row: Command) -> CommandOut:
        """Build from the domain's command."""
        return cls(
            id=row.command_id, number=row.number, device_id=row.device_id, vehicle_id=row.vehicle_id,
            kind=Kind(row.kind), params=row.params, purpose=row.purpose, state=State(row.state),
            requested_by=row.requested_by, requested_at=row.requested_at, expires_at=row.expires_at,
            tries=row.tries, sent_at=row.sent_at, received_at=row.received_at, ended_at=row.ended_at,
            ended_by=row.ended_by, detail=row.detail,
        )  # fmt: skip


@router.post("/devices/{device_id}/commands", status_code=201)
def send_command(
    device_id: DeviceId, body: CommandIn, conn: Conn, asker: Who, looking: Looking, once: OnlyOnce
) -> CommandOut:
    """Queue a command; it is sent when the device is online, or as soon as it is heard again.

    Which roles may ask for which kind, and for which purposes, is in docs/commands.md.
    """
    lasting = None if body.expires_in_s is None else timedelta(seconds=body.expires_in_s)
    return once(
        CommandOut,
        lambda: CommandOut.of(ask(conn, asker, looking, device_id, body.kind, body.params, lasting)),
    )


@router.get("/commands")
def list_commands(
    conn: Conn,
    asker: Who,
    device_id: Annotated[str | None, Query(max_length=32)] = None,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    state: State | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[CommandOut]:
    """List the commands to devices of your branches, newest first."""
    key = decode(cursor, int)
    rows = store.page(
        conn, org_ids=asker.org_ids, device_id=device_id, vehicle_id=vehicle_id, state=state,
        before=int(key[0]) if key else None, limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda row: (row.number,))
    return Page(items=list(map(CommandOut.of, shown)), next=following)


@router.get("/commands/{command_id}")
def get_command(command_id: UUID, conn: Conn, asker: Who) -> CommandOut:
    """Return one command."""
    return CommandOut.of(_visible(conn, asker, command_id))


@router.post("/commands/{command_id}/cancel")
def cancel_command(command_id: UUID, conn: Conn, asker: Who) -> CommandOut:
    """Take a command back; the device may have heard it already, and its answer then says so."""
    _visible(conn, asker, command_id)
    return CommandOut.of(queue.cancel(conn, command_id, actor=asker.actor))


def ask(
    conn: Connection,
    asker: Asker,
    looking: Viewing,
    device_id: str,
    kind: Kind,
    params: dict[str, int],
    lasting: timedelta | None = None,
) -> Command:
    """Queue a command of somebody who sees the device, and write down who asked, when and what for.

    Raises:
        NotFound: no device of the asker's branches. Others: see collateral/commands/queue.ask.
    """
    if not devices.devices(
        conn, asker.org_ids, vehicle_id=None, device_id=device_id, after=None, limit=1
    ):  # fmt: skip
        raise NotFound(
            f"Expected a device of your branches, there is no {device_id}", code="device_not_found"
        )
    command = queue.ask(
        conn, device_id, kind, params, purpose=looking.purpose, roles=asker.roles, actor=asker.actor,
        expires_in=lasting,
    )  # fmt: skip
    looking.log(f"commands/{kind}", [command.vehicle_id] if command.vehicle_id else [])
    return command


def _visible(conn: Connection, asker: Asker, command_id: UUID) -> Command:
    asker.require_org(store.org_of(conn, command_id), f"a command with id {command_id}")
    return queue.command_of(conn, command_id)
