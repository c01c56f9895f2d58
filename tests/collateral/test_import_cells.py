"""Reading cells and tables; no database."""

from datetime import UTC, date, datetime, timedelta

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collateral.imports import cells
from collateral.imports.cells import CellContext
from collateral.imports.columns import parse
from collateral.imports.kinds import KINDS, LOANS, VEHICLES
from collateral.imports.report import BadFile
from collateral.imports.tables import read_table
from core.errors import Rejected

HERE = CellContext()


def written(tmp_path, text, encoding="utf-8", name="file.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-31",
        "2024/1/31",
        "2024.1.31",
        "20240131",
        "2024年1月31日",
        "2024-01-31 00:00:00",
        "２０２４-０１-３１",
    ],
)
def test_a_day_is_read_in_every_usual_spelling(text):
    assert cells.read_date(text, HERE) == date(2024, 1, 31)


@pytest.mark.parametrize(
    "text", ["31/01/2024", "2024-02-30", "2024-13-01", "45322", "soon", "0024-01-01", "2024-01-311"]
)
def test_a_day_that_is_none_or_ambiguous_is_refused(text):
    with pytest.raises(Rejected) as refused:
        cells.read_date(text, HERE)
    assert refused.value.code == "bad_date"


@given(st.dates(date(1950, 1, 1), date(2100, 12, 31)))
def test_every_day_survives_every_spelling(day):
    for text in (
        day.isoformat(),
        f"{day.year}/{day.month}/{day.day}",
        f"{day:%Y%m%d}",
        f"{day.year}年{day.month}月{day.day}日",
    ):
        assert cells.read_date(text, HERE) == day


def test_a_time_without_a_zone_is_local_and_a_day_covers_itself():
    start, end = cells.read_moment("2026-11-02", HERE)
    assert start == datetime(2026, 11, 1, 16, tzinfo=UTC)
    assert end - start == timedelta(days=1) - timedelta(microseconds=1)
    assert cells.read_moment("2026-11-02 08:30", HERE)[0] == datetime(2026, 11, 2, 0, 30, tzinfo=UTC)
    for same in ("2026-11-02T00:30:00Z", "2026-11-02T08:30:00+08:00", "2026-11-02T08:30:00.000+0800"):
        assert cells.read_moment(same, HERE) == (datetime(2026, 11, 2, 0, 30, tzinfo=UTC),) * 2
    for bad in ("2026-11-02 25:00", "2026-11-02 noon"):
        with pytest.raises(Rejected):
            cells.read_moment(bad, HERE)


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("collateral_form", "质押", "pledge"), ("collateral_form", "售后回租", "lease_back"),
        ("collateral_form", "直租", "direct_lease"), ("status", "已结清", "paid"), ("status", "Written_Off", "written_off"),
        ("use_character", "非营运", "non_commercial"), ("emission_stage", "国Ⅵb", "cn6b"), ("emission_stage", "国六", "cn6"),
        ("power", "无线", "wireless"), ("truth", "√", "yes"),
    ],
)  # fmt: skip
def test_words_are_understood_in_both_languages(name, text, word):
    assert cells.read_word(name, text) == word


def test_an_unknown_word_is_refused_with_the_known_ones():
    with pytest.raises(Rejected) as refused:
        cells.read_word("status", "开心")
    assert "overdue" in refused.value.message


@pytest.mark.parametrize("name", sorted(cells.word_lists()["words"]))
def test_no_spelling_stands_for_two_words(name):
    spelled = [
        (cells.plain(spelling), word)
        for word, others in cells.word_lists()["words"][name].items()
        for spelling in {word, *others}
    ]
    owners: dict[str, str] = {}
    for spelling, word in spelled:
        assert owners.setdefault(spelling, word) == word, spelling


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_title_names_one_field_and_every_field_has_a_reader(kind):
    listed = cells.word_lists()["columns"][kind]
    assert set(listed) == set(KINDS[kind].readers)
    owners: dict[str, str] = {}
    for field, titles in listed.items():
        for title in (field, *titles):
            assert owners.setdefault(cells.plain(title), field) == field, title


def test_titles_are_read_with_brackets_units_slashes_and_capitals(tmp_path):
    path = written(
        tmp_path,
        "合同号*,车架号/VIN,贷款余额（万元）,逾期天数(天),数据日期,心情\nA1,V1,12.5,3天,2026-11-02,好\n",
    )
    parsed = parse(read_table(path), LOANS, HERE)
    assert parsed.faults == []
    [row] = parsed.rows
    assert (row.values["loan_id"], row.values["balance"], row.values["days_past_due"]) == (
        "A1",
        12_500_000,
        3,
    )
    assert parsed.ignored == ("心情",)


def test_an_amount_is_read_in_the_currency_of_its_row_wherever_that_column_is(tmp_path):
    path = written(
        tmp_path, "loan_id,vin,balance,as of,currency\nA,V,1000,2026-11-02,JPY\nB,V,1000,2026-11-02,\n"
    )
    parsed = parse(read_table(path), LOANS, HERE)
    assert [row.values["balance"] for row in parsed.rows] == [1_000, 100_000]


def test_two_columns_for_one_field_are_a_fault(tmp_path):
    path = written(tmp_path, "vin,车架号\n1,2\n")
    assert [fault.code for fault in parse(read_table(path), VEHICLES, HERE).faults] == ["duplicate_column"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_table_is_the_same_in_every_encoding(tmp_path, encoding):
    path = written(tmp_path, "车架号,品牌\nV1,䶮牌\n", encoding)
    table = read_table(path)
    assert (table.header, table.rows) == (["车架号", "品牌"], [(2, ["V1", "䶮牌"])])


def test_lines_are_counted_through_quotes_blank_lines_and_windows_ends(tmp_path):
    path = written(tmp_path, 'a,b\r\n1,"x\r\ny"\r\n\r\n,\r\n2,z\r\n')
    assert read_table(path).rows == [(2, ["1", "x\r\ny"]), (6, ["2", "z"])]


def test_semicolons_and_tabs_separate_too(tmp_path):
    for delimiter in ";\t":
        path = written(tmp_path, f"a{delimiter}b\n1{delimiter}2,5\n")
        assert read_table(path).rows == [(2, ["1", "2,5"])]


def test_broken_lines_are_faults_and_the_rest_is_still_read(tmp_path):
    path = written(tmp_path, 'a,b\n1,2\n"x"y,3\n4\n5,6,7\n8,9,,\n1\x002,3\n')
    table = read_table(path)
    assert [row for _, row in table.rows] == [["1", "2"], ["8", "9"]]
    assert [(fault.line, fault.code) for fault in table.faults] == [
        (3, "broken_line"), (4, "wrong_column_count"), (5, "wrong_column_count"), (7, "bad_character"),
    ]  # fmt: skip


def test_a_quote_that_never_ends_is_found_where_it_began(tmp_path):
    table = read_table(written(tmp_path, 'a,b\n1,2\n"3,4\n5,6\n'))
    assert [(fault.line, fault.code) for fault in table.faults] == [(3, "broken_line")]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "file_empty"), (b"\n\n  \n", "file_empty"), (b"a,b\n\xff\xff,1\n", "bad_encoding"),
        (b"PK\x03\x04 not a workbook", "bad_file"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old_excel"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_named(tmp_path, raw, code):
    with pytest.raises(BadFile) as bad:
        read_table(written(tmp_path, raw))
    assert bad.value.code == code


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadFile) as bad:
        read_table(tmp_path / "nowhere.csv")
    assert bad.value.code == "file_not_readable"


def workbook(tmp_path, rows, name="file.xlsx"):
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in rows:
        sheet.append(row)
    path = tmp_path / name
    book.save(path)
    book.close()
    return path


def test_a_workbook_gives_numbers_and_days_as_their_shortest_text(tmp_path):
    path = workbook(
        tmp_path,
        [
            ["设备号", "余额", "日期", "时间", "空"],
            [868120303960871, 123456.78, datetime(2024, 1, 31), datetime(2024, 1, 31, 18, 30), None],  # noqa: DTZ001
            [1.0, 0.1, date(2024, 2, 1), True, "x"],
        ],
    )
    assert read_table(path).rows == [
        (2, ["868120303960871", "123456.78", "2024-01-31", "2024-01-31 18:30:00", ""]),
        (3, ["1", "0.1", "2024-02-01", "true", "x"]),
    ]


def test_a_number_that_excel_has_cut_and_a_failed_formula_are_faults(tmp_path):
    path = workbook(tmp_path, [["a", "b"], [89860012345678901234, 1], ["#REF!", 2], ["ok", 3]])
    table = read_table(path)
    assert [(fault.line, fault.code) for fault in table.faults] == [
        (2, "number_too_long"),
        (3, "formula_error"),
    ]
    assert table.rows == [(4, ["ok", "3"])]
