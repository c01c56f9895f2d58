"""`market import`: every row is counted once, a file is stored once, all of it or nothing."""

import csv
import datetime as dt
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.db.pool import connect
from core.errors import Misconfigured, Rejected
from tests.e2e.tracks import shared_file
from valuation.frame import OBSERVATION_SCHEMA
from valuation.intake.mapping import load_mapping
from valuation.market import store
from valuation.market.importing import import_file
from valuation.market.store import load_observations

MAPPING = """
[columns]
id = "reference"
make = "make"
model = "model"
year = "model_year"
km = "odometer_km"
price = "price"
day = "observed_at"
note = "title"
[constants]
currency = "EUR"
channel = "retail"
source = "test"
"""
HEADER = ("id", "make", "model", "year", "km", "price", "day", "note")
GOOD = [
    ("1", "vw", "golf", "2016", "51000", "9999", "2020-05-01", "with, comma"),
    ("2", "vw", "golf", "2016", "51000", "9950", "2020-05-20", "with, comma"),
    ("3", "vw", "golf", "2016", "61000", "9500", "2020-05-01", 'a "quoted"\nnote'),
    ("4", "vw", "polo", "2018", "", "11000", "2020-05-01", ""),
]
BAD = [
    ("5", "vw", "polo", "2018", "5", "", "2020-05-01", ""),
    ("6", "vw", "polo", "2018", "-5", "9000", "2020-05-01", ""),
    ("7", "vw", "polo", "1800", "5", "9000", "2020-05-01", ""),
    ("8", "vw", "polo", "2018", "5 parsecs", "9000", "2020-05-01", ""),
]


@pytest.fixture
def mapping(tmp_path):
    (tmp_path / "m.toml").write_text(MAPPING)
    return load_mapping(tmp_path / "m.toml")


@pytest.fixture
def write(tmp_path):
    def write(rows, name="market.csv", header=HEADER):
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return tmp_path / name

    return write


def stored(conn):
    return conn.execute("SELECT count(*) FROM market_observation").fetchone()[0]


def test_rows_are_kept_told_apart_or_put_aside_with_their_reason(market_db, mapping, write):
    result = import_file(market_db, write(GOOD + BAD), mapping)
    assert (result.rows, result.kept, result.duplicate) == (8, 3, 1)
    assert result.quarantined == {
        "odometer_negative": 1, "price_missing": 1, "unreadable_number": 1, "year_out_of_range": 1,
    }  # fmt: skip
    assert stored(market_db) == 3
    aside = market_db.execute(
        "SELECT row_number, reason, raw ->> 'id' FROM market_quarantine ORDER BY 1"
    ).fetchall()
    assert aside == [
        (5, "price_missing", "5"), (6, "odometer_negative", "6"),
        (7, "year_out_of_range", "7"), (8, "unreadable_number", "8"),
    ]  # fmt: skip


def test_what_is_stored_comes_back_cell_for_cell(market_db, mapping, write):
    import_file(market_db, write(GOOD), mapping)
    table = load_observations(market_db, currency="EUR", channel="retail")
    assert table.drop_columns(["observation_id"]).schema == OBSERVATION_SCHEMA
    rows = {row["reference"]: row for row in table.to_pylist()}
    assert rows["3"]["title"] == 'a "quoted" note'
    assert rows["4"]["odometer_km"] is None
    assert rows["4"]["title"] is None
    assert (rows["1"]["make"], rows["1"]["price_minor"]) == ("volkswagen", 999_900)
    assert rows["1"]["observed_at"] == dt.date(2020, 5, 1)
    assert (
        load_observations(market_db, currency="EUR", channel="retail", until=dt.date(2020, 4, 30)).num_rows
        == 0
    )
    assert load_observations(market_db, currency="CNY", channel="retail").num_rows == 0


def test_a_nul_byte_in_a_cell_costs_neither_the_row_nor_the_file(market_db, mapping, write):
    good, bad = GOOD[0], BAD[0]
    rows = [(*good[:2], "go\0lf", *good[3:7], "a\0b"), (*bad[:7], "\0"), GOOD[3]]
    result = import_file(market_db, write(rows), mapping)
    assert (result.kept, result.quarantined) == (2, {"price_missing": 1})
    row = market_db.execute("SELECT model, title FROM market_observation WHERE reference = '1'").fetchone()
    assert row == ("golf", "ab")


def test_a_file_imported_again_adds_nothing_and_says_so(market_db, mapping, write):
    path = write(GOOD + BAD)
    first, again = import_file(market_db, path, mapping), import_file(market_db, path, mapping)
    assert (again.kept, again.duplicate, again.already_imported) == (0, 4, True)
    assert (again.import_id, again.quarantined) == (first.import_id, first.quarantined)
    assert (stored(market_db), market_db.execute("SELECT count(*) FROM market_quarantine").fetchone()[0]) == (
        3,
        4,
    )


def test_a_longer_file_adds_only_what_is_new_to_the_store(market_db, mapping, write):
    import_file(market_db, write(GOOD, "monday.csv"), mapping)
    more = ("9", "skoda", "fabia", "2017", "30000", "8000", "2020-05-02", "")
    result = import_file(market_db, write([*GOOD, more], "tuesday.csv"), mapping)
    assert (result.kept, result.duplicate) == (1, 4)
    assert stored(market_db) == 4


def test_the_same_offer_sixty_one_days_later_is_a_new_observation(market_db, mapping, write):
    import_file(market_db, write(GOOD[:1], "may.csv"), mapping)
    for day, kept in (("2020-06-30", 0), ("2020-07-01", 1)):
        later = (*GOOD[0][:6], day, GOOD[0][7])
        assert import_file(market_db, write([later], f"{day}.csv"), mapping).kept == kept


def test_two_imports_of_one_file_at_the_same_time_store_it_once(database_url, mapping, write):
    path = write(GOOD)
    results, start = [], threading.Barrier(2)

    def work():
        with connect(database_url, name="test") as conn:
            start.wait(timeout=10)
            results.append(import_file(conn, path, mapping))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(result.kept for result in results) == [0, 3]
    assert sorted(result.already_imported for result in results) == [False, True]
    with connect(database_url, name="test") as conn:
        assert stored(conn) == 3


def test_an_import_that_dies_in_the_middle_leaves_nothing_behind(database_url, mapping, write, monkeypatch):
    path = write(GOOD + BAD)

    def die(*_):
        raise OSError("the disk went away")

    monkeypatch.setattr(store, "add_quarantine", die)
    with pytest.raises(OSError, match="went away"), connect(database_url, name="test") as conn:
        import_file(conn, path, mapping)
    monkeypatch.undo()
    with connect(database_url, name="test") as conn:
        for table in ("market_observation", "market_import", "market_quarantine"):
            assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        assert import_file(conn, path, mapping).kept == 3


def test_a_connection_killed_before_the_commit_leaves_nothing_behind(database_url, mapping, write):
    path = write(GOOD)
    conn = connect(database_url, name="test")
    import_file(conn, path, mapping)
    with connect(database_url, name="killer", autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s)", (conn.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        conn.commit()
    conn.close()
    with connect(database_url, name="test") as conn:
        assert stored(conn) == 0
        assert import_file(conn, path, mapping).kept == 3


def test_a_file_for_which_the_mapping_is_wrong_stores_nothing(market_db, mapping, write):
    with pytest.raises(Misconfigured, match="price_minor"):
        import_file(market_db, write([("1", "vw")], header=("id", "make")), mapping)
    with pytest.raises(Misconfigured, match="expected a file"):
        import_file(market_db, Path("absent.csv"), mapping)
    assert stored(market_db) == 0


def test_a_file_cut_short_stores_nothing_of_its_first_part(market_db, mapping, tmp_path):
    path = tmp_path / "cut.parquet"
    columns = list(zip(*GOOD, strict=True))
    pq.write_table(pa.table({name: list(cells) for name, cells in zip(HEADER, columns, strict=True)}), path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(Rejected, match=r"cut\.parquet"):
        import_file(market_db, path, mapping)
    assert stored(market_db) == 0


def test_a_file_without_one_usable_row_keeps_its_reasons(market_db, mapping, write):
    result = import_file(market_db, write(BAD), mapping)
    assert not result.usable
    assert sum(result.quarantined.values()) == 4
    assert market_db.execute("SELECT state FROM market_import").fetchone() == ("nothing_usable",)


@pytest.mark.parametrize("change", ["UPDATE market_observation SET price_minor = 1", "DELETE FROM market_observation",
                                    "TRUNCATE market_observation", "DELETE FROM market_quarantine"])  # fmt: skip
def test_observations_and_quarantine_can_only_grow(market_db, mapping, write, change):
    import_file(market_db, write(GOOD), mapping)
    with pytest.raises(psycopg.errors.RestrictViolation, match="only grows"):
        market_db.execute(change)


def test_an_outlier_is_put_aside_and_its_neighbours_stay(market_db, mapping, write):
    usual = [(f"u{at}", "vw", "golf", "2016", f"{40_000 + at}", f"{9_000 + at * 150}", "2020-05-01", "")
             for at in range(12)]  # fmt: skip
    result = import_file(
        market_db, write([*usual, ("far", "vw", "golf", "2016", "40500", "990", "2020-05-01", "")]), mapping
    )
    assert (result.kept, result.quarantined) == (12, {"outlier": 1})
    assert market_db.execute("SELECT raw ->> 'reference' FROM market_quarantine").fetchone() == ("far",)


def test_the_guazi_feed_as_crawled_is_six_sevenths_duplicates(market_db):
    raw = shared_file("market", "cn_guazi_raw_feed.csv.gz")
    result = import_file(market_db, raw, load_mapping("cn_guazi_raw"))
    assert result.rows == 16_494
    assert result.kept + result.duplicate + sum(result.quarantined.values()) == result.rows
    assert 0.85 <= result.duplicate / result.rows <= 0.87
    clean = import_file(
        market_db, shared_file("market", "cn_guazi_listings.parquet"), load_mapping("cn_guazi")
    )
    assert clean.rows == 2_371
    assert clean.duplicate / clean.rows >= 0.99
    cars = load_observations(market_db, currency="CNY", channel="retail")
    assert cars["make"].null_count == 0
    assert cars["new_price_minor"].null_count < 60


@pytest.mark.parametrize(
    ("file", "name", "currency", "channel", "rows"),
    [
        ("us_auction_sales_detailed.parquet", "us_auction_detailed", "USD", "auction", 24_324),
        ("us_private_listings.parquet", "us_private", "USD", "private", 29_503),
        ("de_autoscout24_listings.parquet", "de_autoscout24", "EUR", "retail", 37_560),
    ],
)
def test_staged_files_are_kept_almost_whole_by_their_shipped_mapping(
    market_db, file, name, currency, channel, rows
):
    result = import_file(market_db, shared_file("market", file), load_mapping(name))
    assert result.rows == rows
    assert result.kept + result.duplicate + sum(result.quarantined.values()) == rows
    assert result.kept / rows > 0.85
    assert load_observations(market_db, currency=currency, channel=channel).num_rows == result.kept


def test_sales_told_by_both_american_files_are_read_once(market_db, tmp_path):
    detailed = shared_file("market", "us_auction_sales_detailed.parquet")
    whole = pq.read_table(shared_file("market", "us_auction_sales.parquet"))
    part = whole.filter(pa.compute.equal(whole["model"], "camry"))
    pq.write_table(part, tmp_path / "camry.parquet")
    bare = import_file(market_db, tmp_path / "camry.parquet", load_mapping("us_auction"))
    full = import_file(market_db, detailed, load_mapping("us_auction_detailed"))
    read = load_observations(market_db, currency="USD", channel="auction")
    camrys = [row for row in read.to_pylist() if row["model"] == "camry"]
    with_vin = sum(row["vin"] is not None for row in camrys)
    assert bare.kept > 5_000
    assert with_vin > 5_000
    assert len(camrys) - with_vin < 0.1 * bare.kept
    assert read.num_rows < bare.kept + full.kept


@pytest.fixture
def shell(tmp_path, database_url):
    def run(*arguments):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PLEDGEWATCH_")}
        return subprocess.run(
            [sys.executable, "-m", "pledgewatch", "market", *arguments], cwd=tmp_path, capture_output=True, text=True,
            env={**environment, "PYTHONPATH": str(Path.cwd()), "PLEDGEWATCH_DATABASE_URL": database_url},
            timeout=120, check=False,
        )  # fmt: skip

    return run


def test_the_command_counts_on_the_last_line_and_its_exit_code_tells_what_went_wrong(shell, write, mapping):
    write(GOOD + BAD)
    write(BAD, "bad.csv")
    done = shell("import", "market.csv", "--mapping", "m.toml", "--json")
    told = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    assert (told["kept"], told["duplicate"], told["quarantined"]["price_missing"]) == (3, 1, 1)
    assert "8 rows read" in done.stderr
    assert shell("import", "bad.csv", "--mapping", "m.toml").returncode == 1
    wrong = shell("import", "market.csv", "--mapping", "us_auction")
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (2, False), wrong.stderr
    assert "observed_at" in wrong.stderr
