"""The demo's second half: a market, values, and a lot with five minutes left when history has met now.

`python -m pledgewatch.demo_sale`, started by `up --demo`. Each step looks whether it is done already, so
that a second start, or one after a crash, goes on. Everything is made by the rooms' own functions; the
bidders come over HTTP like anybody. After the hammer the operator goes on in the console.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from pyarrow import parquet

from auction.cases import store as cases
from auction.cases.domain import NewAppraisal
from auction.lots import store as lots
from collateral.vehicles.store import find_vehicle_ids
from core.clock import Clock, ScaledClock, wall_now
from core.db.pool import Connection, connect
from core.logging import configure_logging
from core.policy.pack import load_pack
from core.settings import Settings, load_settings
from core.telemetry.clock import open_clock
from pledgewatch import staging
from pledgewatch.bidding import Request, bid_until_the_end, local_url, make_guests
from pledgewatch.demo import SEED, VEHICLES
from simulator.fleet.story import sold_vehicle
from simulator.market.sales import city_kinds, draw_sales
from valuation.intake.mapping import plain_mapping
from valuation.market.importing import import_file
from valuation.market.store import load_observations
from valuation.model.fit import fit
from valuation.model.store import newest_version, save_model
from valuation.service.mark import mark_all, mark_vehicle
from valuation.vehicles.models import PROCESS_MODELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from auction.domain import Lot
    from core.policy.pack import Pack
    from simulator.domain import FleetVehicle
    from valuation.vehicles.domain import Estimate

SALES = 2_000
MARKET_DAYS = 540
CHANNEL = "auction"
LOT_LASTS = timedelta(minutes=5)
BIDDERS = 8
ACTOR = "demo:desk"
BIDDABLE = frozenset({"published", "open", "suspended"})
DESCRIPTION = "车辆已入库，可预约看车。钥匙一把，行驶证齐全。"
DEFECTS = "右前门有划痕；前保险杠补漆；轮胎磨损约四成。"
LOOK_EVERY_S = 0.5
NICENESS = 10
"""Learning prices must not slow down the history that everybody waits for."""

_log = structlog.get_logger("demo")


def main() -> None:
    """Prepare the sale, let people bid, then wait to be stopped."""
    settings = load_settings()
    configure_logging("demo-sale", json=settings.log_json)
    os.nice(NICENESS)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # At once: every step is a transaction, and nobody who stops the demo waits for a model to be learnt.
        signal.signal(number, lambda *_: os._exit(0))
    with connect(settings.database_url or "", name="demo-sale", autocommit=True) as conn:
        tell_sale(settings, conn, stop)
    stop.wait()  # the supervisor starts again what ends


def tell_sale(settings: Settings, conn: Connection, stop: threading.Event) -> None:
    """Go through the steps; returns early when stopped."""
    pack = load_pack(settings.policy_pack)
    with conn.transaction():
        clock = open_clock(conn, settings)
    learn_market(conn, pack.currency, wall_now())
    vehicle = sold_vehicle(SEED, VEHICLES)
    if not _wait(stop, lambda: _met(clock) and _is_registered(conn, vehicle.vehicle_id)):
        return
    lot = stage_sale(conn, settings, pack, vehicle)
    if lot.state in BIDDABLE and not stop.is_set():
        let_people_bid(conn, settings, lot.lot_id)


def learn_market(conn: Connection, currency: str, now: datetime) -> None:
    """Take in invented sales and fit a model, once."""
    if newest_version(conn, currency, CHANNEL) is not None:
        return
    until = now.date() - timedelta(days=1)
    sales = draw_sales(SEED, SALES, until=until, days=MARKET_DAYS, kinds=city_kinds(), channel=CHANNEL)
    with tempfile.TemporaryDirectory() as folder, conn.transaction():
        path = Path(folder) / "demo-market.parquet"
        parquet.write_table(sales, path)
        import_file(conn, path, plain_mapping())
        observations = load_observations(conn, currency=currency, channel=CHANNEL)
        save_model(conn, fit(observations, currency=currency, channel=CHANNEL, data_cut=until, seed=SEED))
    _log.info("market_learnt", sales=observations.num_rows)


def stage_sale(conn: Connection, settings: Settings, pack: Pack, vehicle: FleetVehicle) -> Lot:
    """Value the fleet, open the vehicle's disposal case, publish its lot; what is there already stays."""
    known = [
        lot for case in cases.list_cases(conn, vehicle_id=vehicle.vehicle_id)
        for lot in lots.lots_of_case(conn, case.case_id)
    ]  # fmt: skip
    if known:
        return max(known, key=lambda lot: lot.number)
    now = wall_now()
    mark_all(conn, PROCESS_MODELS, now, settings.timezone)
    with conn.transaction():
        estimate = mark_vehicle(conn, PROCESS_MODELS, vehicle.vehicle_id, now, settings.timezone, actor=ACTOR)
        appraisal = _appraisal(estimate, pack)
        case = cases.live_case_of_vehicle(conn, vehicle.vehicle_id) or staging.open_case(
            conn, vehicle.vehicle_id, appraisal, pack, reference="演示-约定处置"
        )
        start_minor = staging.floor_on_grid(appraisal.value_minor, pack)
        draft = staging.draft_lot(
            conn, case.case_id, pack, start_minor=start_minor, lasts=LOT_LASTS,
            title=f"{vehicle.make} {vehicle.model} {vehicle.model_year}年款",
            description=DESCRIPTION, defects=DEFECTS,
        )  # fmt: skip
        lot = staging.publish_lot(conn, draft.lot_id)
    _log.info("lot_published", lot=lot.number, start_minor=start_minor)
    return lot


def let_people_bid(conn: Connection, settings: Settings, lot_id: UUID) -> None:
    """Invite people and let them bid over HTTP until the lot is decided."""
    request = Request(lot_id, BIDDERS, SEED, local_url(settings), None)
    with conn.transaction():
        tokens = make_guests(conn, request)
    figures = bid_until_the_end(request, tokens, lambda _: None)
    _log.info("lot_decided", **figures)


def _appraisal(estimate: Estimate, pack: Pack) -> NewAppraisal:
    today = pack.day_of(wall_now())
    return NewAppraisal(
        value_minor=estimate.estimate_minor or 0,
        low_minor=estimate.low_minor,
        high_minor=estimate.high_minor,
        currency=pack.currency,
        method="model",
        appraiser=f"model:{estimate.model_version}",
        valued_on=today,
        estimate_id=estimate.estimate_id,
    )


def _is_registered(conn: Connection, vehicle_id: str) -> bool:
    return vehicle_id in find_vehicle_ids(conn, [vehicle_id])


def _met(clock: Clock) -> bool:
    return not isinstance(clock, ScaledClock) or clock.meets_wall_at() <= wall_now()


def _wait(stop: threading.Event, ask: Callable[[], bool]) -> bool:
    while not ask():
        if stop.wait(LOOK_EVERY_S):
            return False
    return True


if __name__ == "__main__":
    main()
