"""Foreign cells: numbers with their units, dates, words, faults per row, and never a crash."""

import datetime as dt
import gzip
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domain.money import parse_money
from core.errors import Misconfigured, Rejected
from valuation.frame import OBSERVATION_SCHEMA
from valuation.intake.files import read_batches
from valuation.intake.mapping import load_mapping, read_mapping
from valuation.intake.normalise import normalise, require
from valuation.intake.numbers import read_numbers

SMALL = """
[columns]
make = "make"
model = "model"
year = "model_year"
km = "odometer_km"
grade = "condition"
price = "price"
day = "observed_at"
[constants]
currency = "EUR"
channel = "retail"
"""


def small(extra=""):
    return read_mapping(tomllib.loads(SMALL + extra), name="small")


def row(**cells):
    whole = {"make": "VW", "model": "Golf", "year": "2016", "km": "51,000", "grade": "3.5", "price": "9,999",
             "day": "2020-05-01", **cells}  # fmt: skip
    return pa.table({name: pa.array([value], pa.string()) for name, value in whole.items()})


def judged(observations=True, extra="", **cells):
    done = normalise(row(**cells), small(extra), observations=observations)
    return done.table.to_pylist()[0], done.faults.to_pylist()[0]


def one(text, ours, unit=None):
    values, wrong = read_numbers(pa.array([text]), ours, unit)
    return None if wrong[0] else float(values[0])


@pytest.mark.parametrize(
    ("text", "ours", "unit", "number"),
    [
        ("1.39万公里", "odometer_km", None, 13_900),
        ("1.39", "odometer_km", "万公里", 13_900),
        ("3.5公里", "odometer_km", "万公里", 3.5),
        ("10,000", "odometer_km", "mi", 16_093.44),
        ("60 km", "odometer_km", "mi", 60),
        ("120k", "odometer_km", None, 120_000),
        ("34.17万", "new_price_minor", None, 341_700),
        ("34.17万元", "new_price_minor", "万元", 341_700),
        ("28.18", "price_minor", "万元", 281_800),
        ("￥12,500.50", "price_minor", None, 12_500.5),
        ("$ 900", "price_minor", None, 900),
        ("2020年", "model_year", None, 2020),
        ("1.5T", "engine_l", None, 1.5),
        ("2494 CC", "engine_l", None, 2.494),
        ("１２３４", "price_minor", None, 1234),
        ("-5", "odometer_km", None, -5),
    ],
)
def test_a_number_is_read_with_the_unit_it_carries_or_the_declared_one(text, ours, unit, number):
    assert one(text, ours, unit) == pytest.approx(number)


@pytest.mark.parametrize(
    "text", ["abc", "1,23,4", "12.3.4", "1.39万公里吧", "5 furlongs", "1e5", "3 mi 2", "12 km/h"]
)
def test_what_is_no_number_is_a_fault_and_not_a_guess(text):
    assert one(text, "odometer_km") is None


@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), max_size=30))
@settings(max_examples=150, deadline=None)
def test_reading_numbers_never_fails_whatever_stands_in_the_cells(cells):
    values, wrong = read_numbers(pa.array(cells, pa.string()), "odometer_km", "mi")
    assert len(values) == len(wrong) == len(cells)
    assert not np.isinf(values).any()


@given(st.integers(1, 10**9), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_a_price_keeps_its_last_cent_as_the_money_reader_reads_it(whole, cents):
    text = f"{whole:,}.{cents:02d}"
    read, _ = judged(price=text)
    assert read["price_minor"] == parse_money(text, "EUR").amount_minor


@given(st.lists(st.fixed_dictionaries({name: st.one_of(st.none(), st.text(max_size=8), st.integers().map(str))
                                       for name in ("make", "model", "year", "km", "grade", "price", "day")}),
                min_size=1, max_size=12))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_any_rows_keep_their_order_and_each_usable_one_obeys_the_limits(rows):
    table = pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in rows[0]]))
    done = normalise(table, small(), observations=True)
    assert done.table.schema == OBSERVATION_SCHEMA
    assert done.table.num_rows == len(done.faults) == len(rows)
    for read, fault in zip(done.table.to_pylist(), done.faults.to_pylist(), strict=True):
        if fault is None:
            assert read["price_minor"] >= 10_000
            assert 1950 <= read["model_year"] <= read["observed_at"].year + 2
            assert read["odometer_km"] is None or read["odometer_km"] >= 0
            assert read["make"].strip()
            assert read["make"] == read["make"].lower()


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"price": ""}, "price_missing"),
        ({"price": "1"}, "price_out_of_range"),
        ({"price": "-500"}, "price_out_of_range"),
        ({"price": "many"}, "unreadable_number"),
        ({"year": "1890"}, "year_out_of_range"),
        ({"year": "2023"}, "year_out_of_range"),
        ({"year": ""}, "year_missing"),
        ({"km": "-1"}, "odometer_negative"),
        ({"km": "9000000"}, "odometer_out_of_range"),
        ({"day": ""}, "date_missing"),
        ({"day": "31.31.2020"}, "unreadable_date"),
        ({"make": "others"}, "make_missing"),
        ({"grade": "77"}, "condition_out_of_range"),
    ],
)
def test_a_row_that_cannot_be_used_is_given_its_reason(cells, reason):
    assert judged(**cells)[1] == reason


def test_currencies_and_channels_that_nobody_knows_are_refused():
    extra = 'cur = "currency"\n'
    text = SMALL.replace('day = "observed_at"\n', 'day = "observed_at"\n' + extra).replace(
        'currency = "EUR"\n', ""
    )
    read = read_mapping(tomllib.loads(text), name="m")
    for currency, fault in (("eur", None), ("DOGE", "unknown_currency"), (None, "unknown_currency")):
        table = row().append_column("cur", pa.array([currency], pa.string()))
        assert normalise(table, read, observations=True).faults.to_pylist() == [fault]


def test_a_vehicle_to_be_valued_needs_no_price_nor_day_and_ignores_broken_ones():
    table = row(price="many", day="never")
    done = normalise(table, small())
    assert done.faults.to_pylist() == [None]
    assert done.table["price_minor"].to_pylist() == [None]
    bare = table.drop_columns(["price", "day"])
    assert normalise(bare, small()).faults.to_pylist() == [None]


def test_grades_on_both_scales_come_to_the_same_one_to_five():
    grades = [judged(grade=text)[0]["condition"] for text in ("4.5", "45", "3", "30", "")]
    assert grades == [4.5, 4.5, 3, 3, None]


def test_placeholders_for_an_unknown_odometer_are_not_taken_for_readings():
    extra = '[units]\nodometer = "mi"'
    assert judged(extra=extra, km="999999")[0]["odometer_km"] is None
    assert judged(km="0")[0]["odometer_km"] is None
    assert judged(km="0", year="2020")[0]["odometer_km"] == 0


def test_makes_have_one_spelling_and_models_do_not_repeat_them():
    read, _ = judged(make=" VW ", model="Volkswagen  Golf")
    assert (read["make"], read["model"]) == ("volkswagen", "golf")


def test_a_filled_in_transmission_is_unknown_and_a_salvaged_car_is_excluded():
    us = load_mapping("us_auction")
    table = pa.table(
        {"transmission": ["manual_or_unknown", "automatic"], "make": ["kia", "kia"], "year": [2012, 2012]}
    )
    assert normalise(table, us).table["transmission"].to_pylist() == [None, "automatic"]
    private = load_mapping("us_private")
    cars = pa.table({"manufacturer": ["bmw", "bmw"], "model": ["bmw x5", "bmw x5"], "model_year": [2011.0, 2012.0],
                     "condition": ["salvage", "like new"], "is_4wd": [1.0, 0.0]})  # fmt: skip
    done = normalise(cars, private)
    assert done.faults.to_pylist() == ["salvage", None]
    assert done.table["condition"].to_pylist() == [1, 4.5]
    assert done.table["drive"].to_pylist() == ["4wd", None]


def test_headers_are_found_whatever_their_case_and_outer_spaces():
    table = row().rename_columns([" MAKE", "Model", "year", "km", "grade", "PRICE ", "day"])
    done = normalise(table, small(), observations=True)
    assert done.faults.to_pylist() == [None]
    require(small(), table.column_names, ("make", "price_minor"))


def test_a_mapping_for_another_file_is_named_before_a_row_is_read():
    with pytest.raises(Misconfigured, match="price_minor") as caught:
        require(small(), ["make", "year", "day"], ("make", "model_year", "price_minor"))
    assert caught.value.code == "mapping_mismatch"


def test_one_table_is_read_alike_from_csv_gzip_gb18030_and_parquet(tmp_path):
    text = '品牌,price,note\n大众,12.5,"a\nb"\n"丰田, 一汽",8,\n'
    (tmp_path / "a.csv").write_text(text, encoding="utf-8-sig")
    (tmp_path / "b.csv").write_text(text, encoding="gb18030")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(text.encode()))
    pq.write_table(pa.table({"品牌": ["大众", "丰田, 一汽"], "price": ["12.5", "8"], "note": ["a\nb", None]}),
                   tmp_path / "d.parquet")  # fmt: skip
    read = [pa.concat_tables(read_batches(tmp_path / name)).to_pylist()
            for name in ("a.csv", "b.csv", "c.csv.gz", "d.parquet")]  # fmt: skip
    assert read[0] == read[1] == read[2] == read[3]
    assert read[0][0] == {"品牌": "大众", "price": "12.5", "note": "a\nb"}


@pytest.mark.parametrize("damage", ["cut", "rows", "header", "doubled"])
def test_a_damaged_file_is_refused_with_its_name(tmp_path, damage):
    path = tmp_path / "damaged.csv.gz"
    if damage == "cut":
        path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 50_000)[:-40])
    else:
        text = {"rows": "a,b\n1,2\n1,2,3\n", "header": "", "doubled": "a,a\n1,2\n"}[damage]
        path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(Rejected, match=r"damaged\.csv\.gz"):
        list(read_batches(path))


def test_a_file_with_a_header_and_no_rows_reads_as_nothing(tmp_path):
    (tmp_path / "empty.csv").write_text("a,b\n")
    assert sum(batch.num_rows for batch in read_batches(tmp_path / "empty.csv")) == 0


def test_dates_are_read_in_the_declared_form_or_refused():
    extra = '[dates]\nday = "%d/%m/%Y"'
    assert judged(extra=extra, day="07/04/2020")[0]["observed_at"] == dt.date(2020, 4, 7)
    assert judged(extra=extra, day="2020-04-07")[1] == "unreadable_date"
    assert judged(day="2020-04-07T23:59:59+08:00")[0]["observed_at"] == dt.date(2020, 4, 7)
