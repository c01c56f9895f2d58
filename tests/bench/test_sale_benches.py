"""The benches of sale, value and API run whole on tiny counts: every agreed key is there, finite, and honest."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from core.db.migrate import migrate
from core.policy.pack import load_pack
from pledgewatch.bench import api, auction, valuation
from pledgewatch.bench.market.peers import CellMedians, median_error_pct
from pledgewatch.bench.run import EXTRA_SETTINGS
from pledgewatch.embedded.postgres import EmbeddedPostgres
from simulator.market.sales import city_kinds, draw_sales

AUCTION_KEYS = {
    "flush_ms", "one_lot_bids_per_s", "one_lot_p99_ms", "one_lot_busy", "database_bids_per_s", "mixed_requests_per_s",
    "mixed_p95_ms", "mixed_busy", "timely_bids", "timely_bids_refused", "acknowledged_bids_lost", "sse_watchers", "sse_p99_ms",
    "close_delay_ms", "timer_restart_s", "verify_events_per_s", "replay_events_per_s",
}  # fmt: skip
VALUATION_KEYS = {
    "import_500k_s", "retrain_s", "retrain_peak_mb", "estimates_100k_s", "mark_100k_s", "api_p95_ms",
    "median_error_pct", "coverage_90", "valued_share",
}  # fmt: skip


def not_finite(result):
    groups = {"figures": result.figures, "ratios": result.ratios, **result.peers}
    return [
        (group, key) for group, values in groups.items() for key, value in values.items()
        if not (isinstance(value, float) and math.isfinite(value) and value >= 0.0)
    ]  # fmt: skip


def apart(call):
    """Call in a thread of its own: a bench runs a loop, and a browser test before it left one running here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@pytest.fixture
def server(tmp_path):
    with EmbeddedPostgres(tmp_path / "postgres", extra_settings=EXTRA_SETTINGS) as running:
        migrate(running.dsn)
        yield running


@pytest.mark.db
@pytest.mark.slow
@pytest.mark.soak
def test_the_auction_bench_measures_every_key_and_loses_nothing(server, tmp_path, monkeypatch):
    pack = replace(load_pack("demo"), min_duration=timedelta(seconds=1))
    monkeypatch.setattr("auction.lots.actions.load_pack", lambda *_: pack)
    monkeypatch.setattr(auction, "LEAST", timedelta(seconds=3))
    size = auction.Size(
        guests=12, writers=4, seconds=1.0, lines=8, lots=2, stormers=8, storms=1, watchers=10, watched_bids=6,
        kills=1, overdue=5,
    )  # fmt: skip
    result = auction.bench_auction(server.dsn, tmp_path, lambda _: None, size=size)
    assert set(result.figures) == AUCTION_KEYS
    assert not_finite(result) == []
    assert result.figures["timely_bids"] > 0
    assert result.figures["timely_bids_refused"] == 0
    assert result.figures["acknowledged_bids_lost"] == 0
    assert result.figures["sse_watchers"] == size.watchers
    assert set(result.peers) == {"separate_statements", "serializable", "no_fence"}
    assert result.peers["serializable"]["retried_share"] > 0
    for peer in auction.PEERS:
        assert result.ratios[peer] == pytest.approx(
            result.figures["database_bids_per_s"] / result.peers[peer]["database_bids_per_s"]
        )


@pytest.mark.db
@pytest.mark.slow
def test_the_valuation_bench_measures_every_key_beside_naive_peers(server, tmp_path):
    size = valuation.Size(
        sales=1_500, peer_sales=50, estimates=200, marked=50, api_seconds=0.5, makes=3, models=4
    )
    result = apart(lambda: valuation.bench_valuation(server.dsn, tmp_path, lambda _: None, size=size))
    assert set(result.figures) == VALUATION_KEYS
    assert not_finite(result) == []
    assert result.figures["valued_share"] > 0.95
    assert result.ratios["cell_median"] > 1, "a model that knows less than the median of a cell is none"
    assert result.ratios["row_by_row"] > 1


@pytest.mark.db
@pytest.mark.slow
def test_the_api_bench_measures_every_key_beside_a_bare_route(server, tmp_path):
    size = api.Size(vehicles=60, alerts=20, lines=4, seconds=1.0, peer_seconds=0.5, sql_rounds=10)
    result = apart(lambda: api.bench_api(server.dsn, tmp_path, lambda _: None, size=size))
    assert {"requests_per_s", "p95_ms"} <= set(result.figures)
    assert not_finite(result) == []
    assert set(result.peers) == {"bare_route", "connection_per_request", "sql_alone"}
    assert result.ratios["bare_route"] == pytest.approx(
        result.figures["vehicle_list_requests_per_s"] / result.peers["bare_route"]["requests_per_s"]
    )


def test_the_cell_median_falls_back_to_the_model_and_then_to_the_market():
    sales = draw_sales(1, 400, until=load_pack("demo").in_force_from, days=100, kinds=city_kinds())
    peer = CellMedians(sales)
    known = sales.slice(0, 1)
    elsewhere = known.set_column(known.schema.get_field_index("make"), "make", [["无此品牌"]])
    [price] = peer.estimate(known)
    [fallback] = peer.estimate(elsewhere)
    assert price != fallback
    assert median_error_pct([110.0, 90.0, 100.0], [100.0, 100.0, 100.0]) == pytest.approx(10.0)
