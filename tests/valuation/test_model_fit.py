"""The model on a market whose truth is known."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from core.errors import Rejected
from tests.valuation.synthetic_market import REFERENCE_DAY, days_of, draw, having, without
from valuation.model.adjustments import ADJUSTMENTS
from valuation.model.fit import fit
from valuation.model.level import Groupings, Level
from valuation.model.rows import Vocabulary
from valuation.model.scores import scores

CUT = dt.date(2024, 6, 30)
MONTH_LATER = np.datetime64("2024-07-30")


def trained(table):
    return fit(table, currency="EUR", channel="auction", data_cut=CUT)


@pytest.fixture(scope="module")
def model():
    return trained(draw(2_500, 1).table)


@pytest.fixture(scope="module")
def fresh():
    return draw(2_000, 2)


def off(said, truth):
    return np.median(np.abs(said.estimate_minor / truth - 1.0))


def coverage(said, price):
    return np.mean((said.low_minor <= price) & (price <= said.high_minor))


def test_the_known_curve_is_recovered_within_a_few_per_cent(model, fresh):
    said = model.estimate(fresh.table, days_of(fresh.table))
    assert off(said, fresh.true_minor) < 0.035
    ratio = said.estimate_minor / fresh.true_minor
    for low, high in ((0, 2), (2, 5), (5, 9), (9, 14)):
        ages = 2024 - fresh.table["model_year"].to_numpy()
        assert abs(np.median(ratio[(ages >= low) & (ages < high)]) - 1.0) < 0.03


def test_nine_of_ten_fresh_prices_lie_within_the_interval(model, fresh):
    said = model.estimate(fresh.table, days_of(fresh.table))
    price = fresh.table["price_minor"].to_numpy()
    assert 0.87 < coverage(said, price) < 0.945
    assert 0.06 < np.mean(price < said.lending_minor) < 0.14
    assert (said.low_minor <= said.lending_minor).all()
    assert (said.lending_minor <= said.estimate_minor).all()
    assert (said.estimate_minor <= said.high_minor).all()


def test_more_kilometres_or_a_worse_condition_never_raise_a_value(model):
    rng = np.random.default_rng(5)
    cars = draw(5_000, 4).table
    km = cars["odometer_km"].to_numpy() * np.exp(rng.normal(0, 0.6, 5_000))
    more = km * np.exp(np.abs(rng.normal(0, 0.5, 5_000)))
    grade = cars["condition"].to_numpy()
    worse = np.maximum(1.0, grade - np.abs(rng.normal(0, 1.0, 5_000)))
    cars = having(cars, "odometer_km", km)
    before = model.estimate(cars, REFERENCE_DAY)
    for after in (
        model.estimate(having(cars, "odometer_km", more), REFERENCE_DAY),
        model.estimate(having(cars, "condition", worse), REFERENCE_DAY),
    ):
        for name in ("estimate_minor", "low_minor", "high_minor", "lending_minor"):
            assert (getattr(after, name) <= getattr(before, name)).all(), name


def test_the_steps_add_up_to_the_estimate_in_logs_and_in_money(model, fresh):
    said = model.estimate(fresh.table, MONTH_LATER)
    for place in range(40):
        steps = model.explain(fresh.table.slice(place, 1), MONTH_LATER)
        assert tuple(step.name for step in steps.steps) == tuple(one.name for one in ADJUSTMENTS)[:5]
        assert sum(step.log_effect for step in steps.steps) == steps.log_estimate == said.log_estimate[place]
        assert sum(step.amount_minor for step in steps.steps) == said.estimate_minor[place]


def test_the_step_of_mileage_says_what_mileage_does(model):
    car = draw(1, 8).table
    worn = model.explain(having(car, "odometer_km", [400_000.0]), REFERENCE_DAY)
    fit_car = model.explain(having(car, "odometer_km", [5_000.0]), REFERENCE_DAY)
    step = {name: place for place, name in enumerate(one.name for one in worn.steps)}["mileage"]
    assert worn.steps[step].amount_minor < 0 < fit_car.steps[step].amount_minor


def test_rows_in_another_order_give_the_same_model():
    table = draw(300, 6).table
    mixed = table.take(pa.array(np.random.default_rng(0).permutation(300)))
    one, other = trained(table), trained(mixed)
    assert one.version == other.version
    asked = draw(300, 7).table
    said, again = (m.estimate(asked, days_of(asked)) for m in (one, other))
    for name in ("estimate_minor", "low_minor", "high_minor", "lending_minor"):
        assert (getattr(said, name) == getattr(again, name)).all()


def test_one_price_more_is_another_version():
    table = draw(60, 6).table
    assert trained(table).version != trained(table.slice(1)).version


def test_few_vehicles_and_many_are_valued_alike_to_the_cent(model, fresh):
    together = model.estimate(fresh.table, REFERENCE_DAY)
    for start in (0, 700, 1_999):
        alone = model.estimate(fresh.table.slice(start, 1), REFERENCE_DAY)
        assert alone.estimate_minor[0] == together.estimate_minor[start]
        assert alone.lending_minor[0] == together.lending_minor[start]


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (("odometer_km",), "no_odometer"),
        (("condition",), "no_condition"),
        (("odometer_km", "condition"), "no_odometer;no_condition"),
    ],
)
def test_less_known_is_said_and_widens_the_interval_but_keeps_its_coverage(model, fresh, names, note):
    full = model.estimate(fresh.table, days_of(fresh.table))
    less = model.estimate(without(fresh.table, *names), days_of(fresh.table))
    assert all(one.endswith(note) for one in less.status)
    assert 0.85 < coverage(less, fresh.table["price_minor"].to_numpy()) < 0.96
    assert np.median(less.high_minor - less.low_minor) > np.median(full.high_minor - full.low_minor)


def test_an_unknown_model_or_make_falls_back_and_admits_it(model, fresh):
    price = fresh.table["price_minor"].to_numpy()
    strange = model.estimate(having(fresh.table, "model", ["zephyr"] * 2_000), days_of(fresh.table))
    assert all("unknown_model" in one for one in strange.status)
    assert set(strange.segment) == {"unseen"}
    assert (strange.thickness == 0).all()
    assert coverage(strange, price) > 0.8
    foreign = model.estimate(having(strange_make(fresh.table), "model", ["x"] * 2_000), days_of(fresh.table))
    assert all("unknown_make" in one for one in foreign.status)
    assert (foreign.estimate_minor > 0).all()


def strange_make(table):
    return having(table, "make", ["nowhere"] * table.num_rows)


def test_what_cannot_be_valued_says_why_and_never_raises(model):
    car = draw(6, 3).table
    cars = having(car, "make", [None, "alba", "alba", "alba", "alba", " "])
    cars = having(cars, "model_year", [2020, None, 2020, 2040, 1900, 2020])
    cars = having(cars, "odometer_km", [1.0, 1.0, 9e9, 1.0, 1.0, 1.0])
    said = model.estimate(cars, MONTH_LATER)
    assert list(said.reason) == [
        "make_missing",
        "year_missing",
        "odometer_out_of_range",
        "year_out_of_range",
        "year_out_of_range",
        "make_missing",
    ]
    assert set(said.status) == {"not_valued"}
    assert (said.estimate_minor == -1).all()
    assert model.explain(cars.slice(0, 1), MONTH_LATER) is None
    assert model.comparables(cars.slice(0, 1), MONTH_LATER) == []
    nobody = model.estimate(cars.slice(0, 0), MONTH_LATER)
    assert len(nobody.estimate_minor) == 0
    undated = model.estimate(draw(2, 3).table, np.array(["NaT", "2024-07-01"], dtype="datetime64[D]"))
    assert list(undated.reason) == ["as_of_missing", None]


def test_a_vehicle_of_which_only_make_and_year_are_known_has_a_value(model):
    said = model.estimate(pa.table({"make": ["ALBA "], "model_year": [2019]}), MONTH_LATER)
    assert said.reason[0] is None
    assert said.estimate_minor[0] > 0


def test_a_model_younger_than_the_day_asked_for_says_so(model, fresh):
    before = model.estimate(fresh.table.slice(0, 5), np.datetime64("2024-06-01"))
    assert all(one.startswith("model_after_as_of") for one in before.status)
    assert set(model.estimate(fresh.table.slice(0, 5), MONTH_LATER).status) == {"ok"}


def test_comparables_are_of_the_same_model_near_and_not_from_the_future(model):
    car = draw(1, 8).table
    near = model.comparables(car, REFERENCE_DAY, n=8)
    assert len(near) == 8
    assert [one.weight for one in near] == sorted((one.weight for one in near), reverse=True)
    year = car["model_year"][0].as_py()
    value = model.estimate(car, REFERENCE_DAY).estimate_minor[0]
    for one in near:
        assert abs(one.model_year - year) <= 2
        assert 0.6 < one.adjusted_minor / value < 1.6
    middle = np.datetime64("2024-04-15")
    assert all(one.observed_at <= middle.item() for one in model.comparables(car, middle))


def test_a_guide_that_is_known_of_sales_sharpens_the_estimate():
    model = trained(draw(900, 11, condition=False, guide=True).table)
    asked = draw(800, 12, condition=False, guide=True)
    plain = model.estimate(asked.table, days_of(asked.table))
    guided = model.estimate(asked.table, days_of(asked.table), use_guide=True)
    assert off(guided, asked.true_minor) < 0.8 * off(plain, asked.true_minor)
    assert set(guided.status) == {"model_after_as_of;guided", "guided"}
    steps = model.explain(asked.table.slice(0, 1), days_of(asked.table)[:1], use_guide=True)
    assert [step.name for step in steps.steps] == [one.name for one in ADJUSTMENTS]
    assert sum(step.amount_minor for step in steps.steps) == guided.estimate_minor[0]
    assert sum(step.log_effect for step in steps.steps) == guided.log_estimate[0]


def test_a_guide_no_sale_was_compared_with_is_blended_in(model, fresh):
    asked = having(fresh.table, "guide_price_minor", (fresh.true_minor * 2).astype(np.int64))
    plain = model.estimate(asked, MONTH_LATER)
    blended = model.estimate(asked, MONTH_LATER, use_guide=True)
    assert set(blended.status) == {"guide_blended"}
    assert (blended.estimate_minor > plain.estimate_minor).mean() > 0.99
    assert (blended.estimate_minor < 2 * fresh.true_minor).mean() > 0.99


def test_thirty_prices_are_enough_and_fewer_are_refused_by_name():
    table = draw(30, 9).table
    said = trained(table).estimate(table, MONTH_LATER)
    assert off(said, table["price_minor"].to_numpy()) < 0.35
    with pytest.raises(Rejected, match="EUR auction: expected 30 or more usable prices, was 29") as refused:
        trained(table.slice(1))
    assert refused.value.code == "too_few_observations"
    same = pa.concat_tables([table.slice(0, 1)] * 40)
    with pytest.raises(Rejected, match="differ"):
        trained(same)


def test_a_price_kept_out_leaves_no_trace_in_the_level():
    table = draw(300, 13).table
    vocabulary = Vocabulary.of(table)
    rows, _ = vocabulary.rows(table, days_of(table))
    groupings = Groupings.of(rows, vocabulary.sizes)
    places = groupings.find(rows)
    price = np.log(table["price_minor"].to_numpy().astype(float))
    weight = np.where(np.arange(300) < 50, 0.0, 1.0)
    shaken = price + np.where(np.arange(300) < 50, np.linspace(-3, 3, 300), 0.0)
    calm = Level.fit(rows, places, groupings, price, weight).read(rows, places)
    still = Level.fit(rows, places, groupings, shaken, weight).read(rows, places)
    assert np.array_equal(calm.level, still.level)
    assert all(np.array_equal(a, b) for a, b in zip(calm.encodings, still.encodings, strict=True))


def test_typing_errors_of_ten_times_the_price_do_not_bend_the_model():
    drawn = draw(800, 14)
    price = drawn.table["price_minor"].to_numpy().copy()
    price[::25] *= 10
    asked = draw(600, 15)
    bent = trained(having(drawn.table, "price_minor", price)).estimate(asked.table, days_of(asked.table))
    assert off(bent, asked.true_minor) < 0.06


def test_scores_are_those_of_ratio_studies():
    found = scores(
        np.array([90.0, 110.0, 130.0]), np.array([100.0] * 3), np.array([80.0] * 3), np.array([105.0] * 3)
    )
    assert found["mdape"] == pytest.approx(10.0)
    assert found["over15"] == pytest.approx(33.333)
    assert found["median_ratio"] == pytest.approx(1.1)
    assert found["cod"] == pytest.approx(12.121)
    assert found["coverage"] == pytest.approx(100.0)
    assert scores(np.array([]), np.array([])) == {"n": 0}
