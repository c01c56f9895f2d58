"""Telling offers apart, against a slow and obvious oracle; outliers; twins of two sources."""

import datetime as dt
import random

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from valuation.frame import OBSERVATION_SCHEMA
from valuation.market.duplicates import Offers, find_duplicates, offers_of
from valuation.market.fingerprints import of_rows
from valuation.market.outliers import find_outliers
from valuation.market.twins import without_twins

BASE = {"make": "volkswagen", "model": "golf", "model_year": 2016, "odometer_km": 51_000.0, "price_minor": 1_000_000,
        "currency": "EUR", "channel": "retail", "observed_at": dt.date(2020, 5, 1)}  # fmt: skip


def table(*changes):
    return pa.Table.from_pylist([{**BASE, **change} for change in changes], schema=OBSERVATION_SCHEMA)


def offers(identity, price, day, free=None):
    return Offers(
        np.array(identity, dtype=np.uint64), np.array(price, dtype=np.int64), np.array(day, dtype=np.int64),
        np.array(free if free is not None else [False] * len(identity), dtype=bool),
    )  # fmt: skip


NONE = offers([], [], [])


def repeated(*changes):
    return find_duplicates(offers_of(table(*changes)), NONE).tolist()


def oracle(rows, stored):
    """Compare each with every kept one: slow, and nothing to get wrong."""
    kept, result = list(stored), []
    for identity, price, day in rows:
        same = any(
            identity == other and abs(day - then) <= 60 and abs(price - was) * 100 <= max(price, was)
            for other, was, then in kept
        )
        result.append(same)
        if not same:
            kept.append((identity, price, day))
    return result


ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(9_700, 10_300), st.integers(0, 200)), max_size=40)


@given(ROWS, ROWS)
@settings(max_examples=300, deadline=None)
def test_buckets_find_exactly_what_comparing_everything_finds(stored, rows):
    kept = [one for one, again in zip(stored, oracle(stored, []), strict=True) if not again]
    found = find_duplicates(
        offers(*zip(*rows, strict=True)) if rows else NONE, offers(*zip(*kept, strict=True)) if kept else NONE
    )
    assert found.tolist() == oracle(rows, kept)


def test_half_a_million_offers_of_one_identity_do_not_become_quadratic():
    rng = random.Random(3)
    prices = [rng.randrange(1_000_000, 9_000_000) for _ in range(60_000)]
    found = find_duplicates(offers([7] * len(prices), prices, [0] * len(prices)), NONE)
    assert 100 < (~found).sum() < 500


def test_the_same_offer_on_another_page_or_day_is_told_once():
    again = ({"region": "shanghai"}, {"price_minor": 1_009_000}, {"observed_at": dt.date(2020, 6, 30)})
    assert repeated({}, *again) == [False, True, True, True]


def test_another_price_odometer_model_or_season_is_another_offer():
    others = (
        {"price_minor": 1_050_000},
        {"odometer_km": 52_000.0},
        {"model": "polo"},
        {"channel": "auction"},
    )
    assert not any(repeated({}, *others, {"observed_at": dt.date(2020, 9, 1)}))


def test_a_repriced_listing_of_one_vin_is_the_same_offer_and_a_resale_at_auction_is_not():
    vin = "WVWZZZ1KZAW000001"
    lower = {"vin": vin, "price_minor": 800_000}
    assert repeated({"vin": vin}, lower) == [False, True]
    assert repeated({"vin": vin, "channel": "auction"}, {**lower, "channel": "auction"}) == [False, False]


def test_rows_without_odometer_are_apart_by_name_else_only_equal_ones_repeat():
    bare = {"odometer_km": None, "source": "s"}
    named = [{**bare, "reference": name} for name in ("1", "2", "1")]
    assert repeated(*named) == [False, False, True]
    assert repeated(bare, {**bare, "colour": "red"}, bare) == [False, False, True]


def test_a_price_far_from_its_cell_or_its_guide_is_an_outlier_and_a_rare_car_is_not():
    usual = [{"price_minor": 1_000_000 + step * 10_000} for step in range(20)]
    rare = {"model": "phaeton", "price_minor": 9_000_000}
    guided = {"guide_price_minor": 1_000_000}
    rows = table(*usual, {"price_minor": 100_000}, rare, {**guided, "price_minor": 20_000}, {**guided, **rare,
                 "guide_price_minor": 8_800_000})  # fmt: skip
    assert find_outliers(rows).tolist() == [*[False] * 20, True, False, True, False]


def test_a_cell_that_is_wide_by_nature_keeps_its_tails():
    wide = [{"price_minor": int(100_000 * 1.35**step)} for step in range(21)]
    assert not find_outliers(table(*wide)).any()


def test_a_sale_told_bare_and_in_full_is_read_once_and_in_full():
    sale = {"channel": "auction", "region": "ca", "guide_price_minor": 990_000}
    full = {**sale, "odometer_km": 51_000.0, "model": "golf gti"}
    bare = {**sale, "odometer_km": None}
    other = {**bare, "region": "tx"}
    told = without_twins(table(bare, bare, full, other)).to_pylist()
    assert [(one["region"], one["odometer_km"]) for one in told] == [
        ("ca", None),
        ("ca", 51_000.0),
        ("tx", None),
    ]
    assert without_twins(table(bare, bare, other)).num_rows == 3
    day_before = {**bare, "observed_at": dt.date(2020, 4, 30)}
    assert without_twins(table(day_before, full)).num_rows == 1
    assert without_twins(table({**bare, "observed_at": dt.date(2020, 4, 29)}, full)).num_rows == 2


def test_a_fingerprint_of_a_row_depends_on_every_cell_and_not_on_column_order():
    row = pa.table({"a": ["x"], "b": [1.5], "c": pa.array([None], pa.string())})
    same = pa.table({"c": pa.array([None], pa.string()), "b": [1.5], "a": ["x"]})
    others = [row.set_column(0, "a", pa.array(["y"])), row.set_column(1, "b", pa.array([1.25])),
              row.set_column(2, "c", pa.array([""])), row.rename_columns(["a", "b", "d"])]  # fmt: skip
    prints = {int(of_rows(one)[0]) for one in [row, *others]}
    assert len(prints) == 5
    assert of_rows(same)[0] == of_rows(row)[0]
