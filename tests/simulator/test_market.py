"""The invented market: seeded, inside its rules, with the effects that it promises."""

from datetime import date

import numpy as np

from simulator.market.sales import city_kinds, draw_sales, expected_price, many_kinds

UNTIL = date(2026, 6, 30)


def test_the_same_seed_draws_the_same_sales_and_another_seed_others():
    kinds = city_kinds()
    first = draw_sales(3, 500, until=UNTIL, days=300, kinds=kinds)
    assert first.equals(draw_sales(3, 500, until=UNTIL, days=300, kinds=kinds))
    assert not first.equals(draw_sales(4, 500, until=UNTIL, days=300, kinds=kinds))


def test_nothing_is_sold_after_the_last_day_or_before_it_was_registered():
    rows = draw_sales(5, 3_000, until=UNTIL, days=300, kinds=many_kinds(1, 4, 5)).to_pylist()
    assert all(row["first_registration"] <= row["observed_at"] <= UNTIL for row in rows)
    assert all(row["price"] >= 1_000 and 1.0 <= row["condition"] <= 5.0 for row in rows)
    assert len({row["vin"] for row in rows}) == len(rows)


def test_age_kilometres_and_condition_move_the_price_the_promised_way():
    kinds = city_kinds()
    same = np.zeros(2, dtype=np.int64)

    def pair(ages=(3.0, 3.0), km=(45_000.0, 45_000.0), grades=(3.4, 3.4)):
        return expected_price(kinds, same, np.array(ages), np.array(km), np.array(grades), same)

    younger, older = pair(ages=(2.0, 5.0), km=(30_000.0, 75_000.0))
    fresh, driven = pair(km=(20_000.0, 90_000.0))
    good, worn = pair(grades=(4.8, 2.0))
    assert younger > older
    assert fresh > driven
    assert good > worn
