"""The demo's sale: learnt once, staged once, bid on over HTTP until the hammer."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from auction.lots.store import get_lot
from auction.timers.sweep import sweep
from collateral.contacts.cipher import open_cipher
from collateral.provisioning import provision_fleet
from core.clock import wall_now
from core.db.pool import connect
from core.policy.pack import load_pack
from pledgewatch import demo_sale
from pledgewatch.bidding import Request, bid_until_the_end, make_guests
from pledgewatch.demo import environment
from pledgewatch.simulation import registry_fleet
from simulator.bidders.domain import Outcome
from simulator.fleet.plan import FleetPlan
from simulator.fleet.story import sold_vehicle

PACK = replace(load_pack("demo"), window_ms=2_000, extension_ms=2_000)
"""The demonstration's law, with an end that a test can wait for."""
SEED, COUNT = 7, 4


@pytest.fixture
def staged(town):
    """The city's market learnt from few sales, its fleet registered, the lot published."""
    vehicle = sold_vehicle(SEED, COUNT)
    with (
        connect(town.database_url, name="demo", autocommit=True) as conn,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(demo_sale, "SALES", 400)
        patch.setattr(demo_sale, "LOT_LASTS", timedelta(seconds=14))
        patch.setattr("auction.lots.drafting.load_pack", lambda *_: PACK)
        demo_sale.learn_market(conn, "CNY", wall_now())
        models = conn.execute("SELECT count(*) FROM valuation_model").fetchone()
        demo_sale.learn_market(conn, "CNY", wall_now())
        assert conn.execute("SELECT count(*) FROM valuation_model").fetchone() == models == (1,)
        plan = FleetPlan.story(SEED, COUNT, 1_795_328_220_000)
        with conn.transaction():
            provision_fleet(conn, registry_fleet(plan), cipher=open_cipher(town.settings))
        settings = town.settings.model_copy(update={"policy_pack": "demo"})
        lot = demo_sale.stage_sale(conn, settings, PACK, vehicle)
        yield conn, settings, lot, vehicle


def check_staged_once(conn, settings, lot, vehicle):
    """Valued by the model, above the floor of the pack; a second start finds what is there."""
    again = demo_sale.stage_sale(conn, settings, PACK, vehicle)
    assert again.lot_id == lot.lot_id
    assert lot.state == "published"
    assert lot.vehicle_id == vehicle.vehicle_id
    [(method, value, low, high)] = conn.execute(
        "SELECT method, value_minor, low_minor, high_minor FROM appraisal"
    ).fetchall()
    assert method == "model"
    assert low < value < high
    assert lot.start_minor >= PACK.floor_minor(value)
    [(estimates,)] = conn.execute("SELECT count(DISTINCT vehicle_id) FROM estimate").fetchall()
    assert estimates >= COUNT


@pytest.mark.slow
def test_a_sale_is_staged_once_and_invented_people_bid_over_http_until_the_hammer(staged, served, tmp_path):
    conn, settings, lot, vehicle = staged
    check_staged_once(conn, settings, lot, vehicle)
    stop = threading.Event()

    def keep_sweeping():
        with connect(served.town.database_url, name="sweeper", autocommit=True) as own:
            while not stop.wait(0.05):
                sweep(own)

    sweeper = threading.Thread(target=keep_sweeping)
    sweeper.start()
    try:
        log = tmp_path / "bids.csv"
        request = Request(lot.lot_id, 4, 3, served.base_url, log)
        with conn.transaction():
            tokens = make_guests(conn, request)
        told: list[Outcome] = []
        with ThreadPoolExecutor(1) as pool:  # a browser test before it leaves its loop running in this thread
            figures = pool.submit(bid_until_the_end, request, tokens, told.append).result()
    finally:
        stop.set()
        sweeper.join()
    ended = get_lot(conn, lot.lot_id)
    assert figures["state"] == ended.state == "hammered"
    assert figures["acknowledged"] == ended.bid_count > 0
    assert figures["price_minor"] == ended.price_minor >= lot.start_minor
    assert len(log.read_text().splitlines()) == len(told) + 1


def test_the_demo_sells_by_the_law_of_minutes_and_keeps_an_operators_clock(town):
    given = environment(town.settings, town.database_url)
    assert given["PLEDGEWATCH_POLICY_PACK"] == "demo"
    assert given["PLEDGEWATCH_TELEMETRY_CLOCK"].startswith("scaled:")
    own = town.settings.model_copy(update={"telemetry_clock": "scaled:2026-11-01T00:00:00+00:00:600"})
    assert environment(own, town.database_url) == {"PLEDGEWATCH_POLICY_PACK": "demo"}
