"""The application: routers, errors, headers, and the promise that every route has a rule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from psycopg_pool import ConnectionPool

from api import health, problem
from api.deps import Services, asker_of
from api.document import describe
from api.headers import SecurityHeaders
from api.resources import (
    alerts,
    attempts,
    audit,
    cases,
    commands,
    consents,
    contacts,
    crew_links,
    devices,
    events,
    fences,
    findings,
    inspections,
    loans,
    market,
    me,
    pledgors,
    portfolio,
    positions,
    recovery,
    stays,
    streams,
    tracks,
    valuations,
    vehicles,
    yards,
)
from api.roles import RULES
from api.sale import routers as sale
from api.sale.ingress import DatabaseTime
from api.sale.rate import BidRate
from api.stream.hub import Hub
from api.web import (
    case_pages,
    command_pages,
    console_pages,
    crew_pages,
    lot_pages,
    pages,
    recovery_pages,
    sign_in,
    static,
    value_pages,
)
from auction.bids.ingress import DatabaseClock
from core.clock import Clock
from core.db.pool import Connection
from core.errors import Misconfigured
from core.settings import Settings

BASE = "/api/v1"
BODY_MAX_BYTES = 32 * 1024 * 1024
"""A province of districts as GeoJSON fits; nothing else comes near."""
RESOURCES = (
    vehicles, loans, pledgors, contacts, attempts, consents, devices, commands, fences, findings, alerts,
    cases, positions, tracks, stays, events, audit, me, recovery, crew_links, yards, valuations, inspections,
    portfolio, market,
)  # fmt: skip

documents = APIRouter()


@documents.get(f"{BASE}/openapi.json", include_in_schema=False)
def openapi_document() -> JSONResponse:
    """Return the OpenAPI document that docs/openapi.json holds."""
    return JSONResponse(describe())


def create_app(settings: Settings, pool: ConnectionPool[Connection], clock: Clock) -> FastAPI:
    """Build the application; the caller owns the pool and closes it after the server has stopped.

    Raises:
        Misconfigured: a route has no rule in api/roles.py.
    """
    hub = Hub(pool, clock)
    sale_clock = DatabaseClock(str(pool.conninfo))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        hub.start(asyncio.get_running_loop())
        await asyncio.to_thread(sale_clock.start)
        try:
            yield
        finally:
            hub.close()
            await hub.lots.join()
            await asyncio.to_thread(hub.join)
            await asyncio.to_thread(sale_clock.stop)

    app = FastAPI(
        title="Pledgewatch",
        version="1",
        max_body_size=BODY_MAX_BYTES,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    # One connection stays free for the hub and the health page.
    app.state.services = Services(
        settings, pool, clock, hub, anyio.CapacityLimiter(max(1, pool.max_size - 1)), sale_clock.arrived,
        BidRate(),
    )  # fmt: skip
    app.state.problem_page = pages.problem_page
    problem.install(app)
    app.add_middleware(SecurityHeaders, settings=settings)
    # The last one added is the outermost: the stamp of a bid comes before everything of ours.
    app.add_middleware(DatabaseTime, tell=sale_clock.arrived)
    for router in routers():
        app.include_router(router)
    static.mount(app)
    return app


def api_router() -> APIRouter:
    """Return everything under /api/v1, with the rule check in front of each route."""
    api = APIRouter(prefix=BASE)
    # Before the resources: /alerts/stream would otherwise be read as an alert's id.
    api.include_router(streams.router)
    for open_to_all in sale.OPEN:
        api.include_router(open_to_all)
    for behind_roles in (*(resource.router for resource in RESOURCES), *sale.BEHIND_ROLES):
        api.include_router(behind_roles, dependencies=[Depends(asker_of)])
    return api


def routers() -> tuple[APIRouter, ...]:
    """Return all routers, after checking that each route of each has a rule.

    Raises:
        Misconfigured: one has none, or a rule belongs to no route.
    """
    parts = (
        api_router(),
        documents,
        health.router,
        sign_in.router,
        crew_pages.router,
        pages.router,
        lot_pages.router,
    )
    named = {route.endpoint.__name__ for router in leaf_routers() for route in routes_of(router)}
    if named ^ RULES.keys():
        raise Misconfigured(
            f"Expected one rule for each route, without its pair is {sorted(named ^ RULES.keys())}",
            code="route_without_rule",
        )
    return parts


def leaf_routers() -> Iterable[APIRouter]:
    """Return the routers that hold routes themselves."""
    return (
        streams.router, documents, health.router, sign_in.router, pages.router, case_pages.router,
        crew_pages.router, recovery_pages.router,
        *(resource.router for resource in RESOURCES), *sale.OPEN, *sale.BEHIND_ROLES, lot_pages.router,
        console_pages.router, value_pages.router, command_pages.router,
    )  # fmt: skip


def routes_of(router: APIRouter) -> list[APIRoute]:
    """Return a router's own routes."""
    return [route for route in router.routes if isinstance(route, APIRoute)]
