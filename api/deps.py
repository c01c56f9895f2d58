"""What a route asks for: a connection whose transaction is the request, the asker, the purpose.

A request is one transaction: it commits before the answer leaves (scope="function"), and an error
rolls it back. Endpoints are plain functions in the thread pool; a limiter keeps their number at that
of the connections, so that no thread waits for a connection while its owner waits for a thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import anyio
from anyio import to_thread
from fastapi import Depends, Header, Request
from psycopg_pool import ConnectionPool

from api.access import store as access
from api.auth import Asker, identify, require_role
from api.sale.rate import BidRate
from api.stream.hub import Hub
from collateral.domain import Purpose
from core.clock import Clock
from core.db.pool import Connection
from core.errors import PreconditionMissing, Stale
from core.settings import Settings
from core.telemetry.clock import refresh


@dataclass(slots=True)
class Services:
    """What the process was wired with."""

    settings: Settings
    pool: ConnectionPool[Connection]
    clock: Clock
    hub: Hub
    connections: anyio.CapacityLimiter
    database_time: Callable[[], datetime]
    """The time that auctions run on; raises Unavailable while the database does not tell it."""
    bid_rate: BidRate


def services_of(request: Request) -> Services:
    """Return what create_app was given."""
    services: Services = request.app.state.services
    return services


Wired = Annotated[Services, Depends(services_of)]


async def transaction(services: Wired) -> AsyncIterator[Connection]:
    """Lend a connection; commit on success, roll back on any error, before the answer is sent."""
    async with services.connections:
        context = services.pool.connection()
        conn = await to_thread.run_sync(context.__enter__)
        try:
            yield conn
        except BaseException as exc:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(context.__exit__, type(exc), exc, exc.__traceback__)
            raise
        else:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(context.__exit__, None, None, None)


Conn = Annotated[Connection, Depends(transaction, scope="function")]


def asker_of(request: Request, conn: Conn) -> Asker:
    """Return who asks, after the route's role rule and the forgery check.

    Raises:
        Unauthenticated, Forbidden: see api/auth.py.
    """
    asker = identify(conn, request)
    require_role(request, asker)
    request.state.asker = asker
    return asker


Who = Annotated[Asker, Depends(asker_of)]


def telemetry_now(services: Wired, conn: Conn) -> datetime:
    """Return telemetry time, which ages are measured against."""
    refresh(conn, services.clock)
    return services.clock.now()


Now = Annotated[datetime, Depends(telemetry_now)]


PurposeHeader = Annotated[
    Purpose, Header(alias="Purpose", description="Why the location is read; every read is logged.")
]


@dataclass(frozen=True, slots=True)
class Viewing:
    """Writes the view log for one request."""

    conn: Connection
    actor: str
    purpose: Purpose
    ip: str

    def log(
        self,
        resource: str,
        vehicle_ids: list[str],
        *,
        org_ids: list[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> None:
        """Record what is about to be shown, in the transaction that reads it."""
        access.record(
            self.conn,
            actor=self.actor,
            purpose=self.purpose,
            resource=resource,
            ip=self.ip,
            vehicle_ids=sorted(set(vehicle_ids)),
            org_ids=org_ids or [],
            range_from=start,
            range_to=end,
        )


def viewing_of(request: Request, conn: Conn, asker: Who, purpose: PurposeHeader) -> Viewing:
    """Return the pen for the view log; refuses without a known purpose (400 purpose_required)."""
    return Viewing(conn, asker.actor, purpose, address_of(request))


Looking = Annotated[Viewing, Depends(viewing_of)]


def address_of(request: Request) -> str:
    """Return the peer's address."""
    return request.client.host if request.client else "unknown"


IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=64, description="The ETag that was read.")
]


def check_version(if_match: str | None, version: int) -> None:
    """Refuse an edit made from an old version.

    Raises:
        PreconditionMissing: the header is absent (428).
        Stale: somebody else was faster (412).
    """
    if if_match is None:
        raise PreconditionMissing("Expected an If-Match header with the ETag that was read, was missing")
    if if_match.strip() not in {"*", etag(version), f"W/{etag(version)}"}:
        raise Stale(f"Expected version {etag(version)}, was {if_match}: read it again", current=etag(version))


def etag(version: int) -> str:
    """Return the ETag of a row version."""
    return f'"{version}"'
