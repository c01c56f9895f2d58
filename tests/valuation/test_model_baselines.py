"""The peers are what people know them as, and the back-test sets the model beside them."""

import datetime as dt
import json

import numpy as np
import pytest

from core.errors import Rejected
from tests.valuation.synthetic_market import days_of, draw, having
from valuation.baselines import BASELINES
from valuation.baselines.folk import left_after_km, left_after_years
from valuation.model.backtest import backtest
from valuation.model.fit import fit


def test_the_rule_54321_takes_a_third_off_in_the_first_stage():
    left = left_after_km(np.array([0.0, 30_000.0, 60_000.0, 180_000.0, 300_000.0, np.nan]))
    assert left[:5] == pytest.approx([1.0, 1 - 2.5 / 15, 1 - 5 / 15, 1 - 12 / 15, 0.05])
    assert np.isnan(left[5])


def test_the_yearly_rule_takes_fifteen_then_twelve_then_ten_off():
    left = left_after_years(np.array([0.0, 1.0, 2.5, 5.0, 7.0, 40.0]))
    assert left == pytest.approx([1.0, 0.85, 0.68, 0.48, 0.38, 0.05])


def test_every_baseline_answers_per_row_and_admits_what_it_cannot():
    known, asked = draw(300, 31).table, draw(50, 32, guide=True).table
    asked = having(asked, "new_price_minor", [3_000_000] * 25 + [None] * 25)
    model = fit(known, currency="EUR", channel="auction", data_cut=dt.date(2024, 6, 30))
    found = {one.name: one.value(model, known, asked, days_of(asked)) for one in BASELINES}
    assert {len(values) for values in found.values()} == {50}
    assert np.isnan(found["folk_54321"][25:]).all()
    assert (found["folk_54321"][:25] > 0).all()
    assert found["guide"] == pytest.approx(asked["guide_price_minor"].to_numpy().astype(float))
    price = asked["price_minor"].to_numpy()
    assert np.nanmedian(np.abs(found["level_and_age"] / price - 1)) < 0.15
    # One known sale of a cell: its median is its price.
    row = known.slice(0, 1)
    alone = next(one for one in BASELINES if one.name == "cell_median")
    assert alone.value(model, row, row, days_of(row))[0] == row["price_minor"][0].as_py()


@pytest.mark.slow
def test_the_back_test_shows_the_model_ahead_of_its_peers():
    table = draw(900, 33, guide=True).table
    reports = backtest(table, currency="EUR", channel="auction")
    assert [report["split"] for report in reports] == ["random", "time"]
    json.dumps(reports)
    for report in reports:
        assert report["known"] + report["all"]["n"] + report["not_valued"] == 900
        assert 80 < report["all"]["coverage"] < 97
        for name in ("cell_median", "comparables_median"):
            peer = report["baselines"][name]
            assert peer["ours"]["mdape"] < peer["mdape"]
        assert report["with_guide"]["mdape"] <= report["all"]["mdape"] + 0.5
    assert sum(part["n"] for part in reports[0]["segments"].values()) <= reports[0]["all"]["n"]


def test_prices_of_one_day_have_no_split_by_time():
    table = draw(200, 34, days=1).table
    assert [one["split"] for one in backtest(table, currency="EUR", channel="auction")] == ["random"]
    with pytest.raises(Rejected, match="Back-test EUR auction"):
        backtest(table, currency="EUR", channel="auction", splits=("time",))
