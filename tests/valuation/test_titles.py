"""Chinese listing titles: brand, series, model year, displacement, gearbox, trim."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.e2e.tracks import shared_file
from valuation.intake.files import read_batches
from valuation.intake.mapping import load_mapping
from valuation.intake.normalise import normalise
from valuation.intake.titles import read_title


@pytest.mark.parametrize(
    ("text", "make", "model", "year", "litres", "gearbox"),
    [
        ("大众 高尔夫 2015款 1.6L 自动时尚型", "大众", "高尔夫", 2015, 1.6, "automatic"),
        ("奔驰C级 2015款 C 200 L 4MATIC 运动版", "奔驰", "c级", 2015, None, None),
        ("别克 英朗 2014款 XT 1.6L 手动舒适版", "别克", "英朗", 2014, 1.6, "manual"),
        ("三菱帕杰罗 3.8L 自动（平行进口）", "三菱", "帕杰罗", None, 3.8, "automatic"),
        ("北京汽车E系列 2013款 两厢 1.5L 手动乐天版", "北京汽车", "e系列", 2013, 1.5, "manual"),
        ("丰田 丰田Sienna 2015款 3.5L 自动", "丰田", "sienna", 2015, 3.5, "automatic"),
        ("MINI 2014款 1.5T COOPER Fun", "mini", "mini", 2014, 1.5, None),
        ("丰田 YARiS L 致享 2017款 1.5E CVT魅动版", "丰田", "yaris l 致享", 2017, 1.5, "automatic"),
        ("无名牌 X9 2020款 2.0T DCT豪华版", "无名牌", "x9", 2020, 2.0, "automatic"),
    ],
)
def test_a_title_tells_the_parts_of_the_vehicle(text, make, model, year, litres, gearbox):
    title = read_title(text)
    assert (title.make, title.model, title.model_year) == (make, model, year)
    assert (title.engine_l, title.transmission) == (litres, gearbox)


def test_emission_class_is_no_part_of_the_trim_and_drive_and_fuel_are_told():
    title = read_title("马自达CX-4 2018款 2.0L 自动四驱蓝天活力版 国V")
    assert (title.trim, title.drive) == ("2.0l 自动四驱蓝天活力版", "4wd")
    assert read_title("丰田 雷凌 2021款 双擎 1.8H E-CVT豪华版").fuel == "hybrid"


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_the_title_reader_fail(text):
    title = read_title(text)
    assert title.make is None or title.make == title.make.lower()


def test_the_staged_listings_all_get_a_make_and_most_their_year():
    path = shared_file("market", "cn_guazi_listings.parquet")
    foreign = pa.concat_tables(read_batches(path))
    bare = foreign.select(["title"])
    read = normalise(bare, load_mapping("cn_guazi")).table
    years = read["model_year"].to_pylist()
    stated = [None if one is None else int(one) for one in foreign["model_year"].to_pylist()]
    assert read["make"].null_count == 0
    assert years == stated
