"""From a market file to a file of estimates, by the commands that people type."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from core.errors import Misconfigured, Rejected
from pledgewatch.cli import app
from tests.valuation.synthetic_market import draw
from valuation.model.files import ADDED

MAPPING = """
[columns]
id = "reference"
brand = "make"
type = "model"
kit = "trim"
year = "model_year"
km = "odometer_km"
grade = "condition"
paid = "price"
listed = "guide_price"
day = "observed_at"
[constants]
currency = "EUR"
channel = "auction"
"""


def market_file(path, rows, seed):
    drawn = draw(rows, seed, guide=True)
    table = drawn.table
    columns = {
        "id": [f"R{place}" for place in range(rows)],
        "brand": table["make"],
        "type": table["model"],
        "kit": table["trim"],
        "year": table["model_year"],
        "km": table["odometer_km"],
        "grade": table["condition"],
        "paid": [f"{minor // 100}.{minor % 100:02d}" for minor in table["price_minor"].to_pylist()],
        "listed": [minor // 100 for minor in table["guide_price_minor"].to_pylist()],
        "day": table["observed_at"],
        "note": ['say "no", never'] * rows,
    }
    out = pa.table({name: pa.array(v) if isinstance(v, list) else v for name, v in columns.items()})
    (pacsv.write_csv if path.suffix == ".csv" else pq.write_table)(out, path)
    return drawn


@dataclass(frozen=True)
class Commands:
    """The command line, run in a folder."""

    folder: Path
    call: Callable[..., Any]

    def __call__(self, *arguments):
        return self.call(*arguments)


@pytest.fixture(scope="module")
def run(market_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("value")
    (folder / "m.toml").write_text(MAPPING, encoding="utf-8")
    patch = pytest.MonkeyPatch()
    patch.setenv("PLEDGEWATCH_DATABASE_URL", market_url)
    patch.setenv("PLEDGEWATCH_MQTT_URL", "mqtt://127.0.0.1:1")
    patch.chdir(folder)

    def call(*arguments):
        done = CliRunner().invoke(app, [str(one) for one in arguments])
        if done.exit_code and isinstance(done.exception, (Misconfigured, Rejected)):
            raise done.exception
        return done

    yield Commands(folder, call)
    patch.undo()


@pytest.fixture(scope="module")
def fitted(run):
    market_file(run.folder / "sales.csv", 700, 41)
    assert run("market", "import", "sales.csv", "--mapping", "m.toml").exit_code == 0
    done = run("valuation", "fit", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])["models"][0]


def value(run, source, *more, expect=0):
    done = run(
        "value", "--in", source, "--out", "out.csv", "--currency", "EUR", "--channel", "auction", *more
    )
    assert done.exit_code == expect, done.output
    with (run.folder / "out.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_without_prices_or_model_the_commands_say_what_to_do_first(run):
    market_file(run.folder / "few.csv", 20, 40)
    with pytest.raises(Misconfigured, match="run `pledgewatch market import`"):
        run("valuation", "fit", "--currency", "JPY")
    with pytest.raises(Misconfigured, match=r"expected one for JPY auction.*valuation fit"):
        run(
            "value", "--in", "few.csv", "--out", "o.csv", "--mapping", "m.toml", "--currency", "JPY",
            "--channel", "auction",
        )  # fmt: skip
    assert not (run.folder / "o.csv").exists()


@pytest.mark.parametrize("name", ["fleet.csv", "fleet.parquet"])
def test_a_file_goes_in_and_comes_out_in_its_order_with_values(run, fitted, name):
    drawn = market_file(run.folder / name, 120, 42)
    rows = value(run, name, "--mapping", "m.toml")
    assert [row["id"] for row in rows] == [f"R{place}" for place in range(120)]
    assert list(rows[0])[-len(ADDED) :] == list(ADDED)
    assert {row["note"] for row in rows} == {'say "no", never'}
    assert {row["model_version"] for row in rows} == {fitted["version"]}
    estimate = np.array([float(row["estimate"]) for row in rows])
    assert np.median(np.abs(estimate * 100 / drawn.true_minor - 1)) < 0.06
    for row in rows:
        low, lending, middle, high = (
            float(row[one]) for one in ("low90", "lending_value", "estimate", "high90")
        )
        assert low <= lending <= middle <= high
        assert row["estimate"].split(".")[1].isdigit()
        assert row["reason"] == ""


def test_the_day_comes_from_the_option_the_row_or_the_clock(run, fitted):
    market_file(run.folder / "days.csv", 40, 43)
    own = value(run, "days.csv", "--mapping", "m.toml")
    by_column = value(run, "days.csv", "--mapping", "m.toml", "--as-of", "day")
    later = value(run, "days.csv", "--mapping", "m.toml", "--as-of", "2030-01-01")
    assert [row["estimate"] for row in own] == [row["estimate"] for row in by_column]
    assert sum(float(row["estimate"]) for row in later) < 0.7 * sum(float(row["estimate"]) for row in own)
    earlier = value(run, "days.csv", "--mapping", "m.toml", "--as-of", "2024-05-01")
    assert {row["status"] for row in earlier if row["reason"] == ""} == {"model_after_as_of"}


def test_the_guide_counts_only_when_its_column_is_named(run, fitted):
    market_file(run.folder / "guide.csv", 60, 44)
    plain = value(run, "guide.csv", "--mapping", "m.toml")
    guided = value(run, "guide.csv", "--mapping", "m.toml", "--guide-column", "listed")
    assert all("guided" in row["status"] for row in guided)
    assert not any("guide" in row["status"] for row in plain)


def test_rows_that_cannot_be_valued_keep_their_place_and_their_reason(run, fitted):
    text = "make,model,model_year,odometer_km\nalba,alba 1,2020,1000\n,x,2020,5\nalba,alba 1,,5\nalba,alba 1,2020,-4\n"
    (run.folder / "odd.csv").write_text(text, encoding="utf-8")
    rows = value(run, "odd.csv", "--as-of", "2024-07-01")
    assert [row["status"] for row in rows] == ["no_condition", "not_valued", "not_valued", "not_valued"]
    assert [row["reason"] for row in rows] == ["", "make_missing", "year_missing", "odometer_negative"]
    assert [bool(row["estimate"]) for row in rows] == [True, False, False, False]


@pytest.mark.parametrize(
    ("header", "options", "said"),
    [
        ("a,b", (), "expected a column that says the make"),
        ("make,model_year,estimate", (), "expected no column named estimate"),
        ("make,model_year", ("--as-of", "nope"), "--as-of: expected a date"),
        ("make,model_year", ("--guide-column", "nope"), "--guide-column: expected a column"),
        ("make,model_year", ("--mapping", "us_auction"), "expected amounts in EUR, was USD"),
    ],
)
def test_options_that_do_not_fit_the_file_are_refused(run, fitted, header, options, said):
    (run.folder / "bad.csv").write_text(f"{header}\n" + ",".join(["1"] * len(header.split(","))) + "\n")
    with pytest.raises(Misconfigured, match=said):
        value(run, "bad.csv", *options)


def test_the_back_test_prints_one_object_with_every_segment_and_peer(run, fitted):
    done = run("valuation", "backtest", "--split", "random", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout.splitlines()[-1])["reports"][0]
    wanted = {"n", "mdape", "mape", "ppe10", "ppe15", "over15", "median_ratio", "cod", "prd", "coverage"}
    assert wanted <= set(report["all"])
    assert {"cell_median", "level_and_age", "guide"} <= set(report["baselines"])
    assert report["segments"]


def test_a_fit_knows_nothing_after_the_day_it_was_told(run, fitted):
    done = run("valuation", "fit", "--until", "2024-05-15", "--channel", "auction", "--json")
    model = json.loads(done.stdout.splitlines()[-1])["models"][0]
    assert model["data_cut"] <= "2024-05-15"
    assert model["version"] != fitted["version"]
    assert 0 < model["rows"] < fitted["rows"]
    late = run("valuation", "fit", "--until", "2001-01-01", "--json")
    assert late.exit_code == 1
    assert json.loads(late.stdout.splitlines()[-1])["passed_over"][0]["currency"] == "EUR"
    assert "no price until 2001-01-01" in late.stderr
    run("valuation", "fit")
