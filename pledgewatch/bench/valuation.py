"""`bench valuation`: an invented market taken in and learnt, a fleet valued by it, beside naive peers."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from collateral.fleet import FleetLoan, FleetParty, FleetVehicle
from collateral.provisioning import provision_fleet
from collateral.staff.access import create_token
from core.clock import monotonic, wall_now
from core.db.pool import Connection, connect
from core.errors import Unavailable
from pledgewatch.bench.http.load import Call, all_good, run_load
from pledgewatch.bench.http.serving import serving, start_module
from pledgewatch.bench.market.peers import CellMedians, median_error_pct
from pledgewatch.bench.market.store import insert_one_by_one, make_peer_table
from pledgewatch.bench.result import BenchResult, describe_machine, quantile, versions
from simulator.market.sales import draw_sales, many_kinds
from valuation.intake.mapping import plain_mapping
from valuation.intake.normalise import normalise
from valuation.market.importing import import_file
from valuation.model.store import newest_model
from valuation.service.mark import mark_all
from valuation.vehicles.models import Models

CURRENCY, CHANNEL = "CNY", "auction"
SEED = 11
MARKET_DAYS = 700
LINES = 8
FIT_MODULE = "pledgewatch.bench.market.fitting"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured; keys name 500k and 100k: shorter runs are scaled up and say so."""

    sales: int = 200_000
    peer_sales: int = 3_000
    estimates: int = 100_000
    marked: int = 10_000
    api_seconds: float = 6.0
    makes: int = 40
    models: int = 12


LONG = Size(sales=500_000, peer_sales=20_000, marked=100_000, api_seconds=30.0)


def bench_valuation(
    database_url: str,
    folder: Path,
    tell: Callable[[str], None],
    *,
    long: bool = False,
    size: Size | None = None,
) -> BenchResult:
    """Measure on a migrated, empty database; about two minutes, ``long`` within twelve."""
    size = size or (LONG if long else Size())
    today = wall_now().date()
    kinds = many_kinds(SEED, size.makes, size.models)
    tell(f"drawing {size.sales:,} sales")
    sales = draw_sales(SEED, size.sales, until=today - timedelta(days=1), days=MARKET_DAYS, kinds=kinds)
    unseen = draw_sales(SEED + 1, size.estimates, until=today, days=1, kinds=kinds)
    with connect(database_url, name="bench") as conn:
        tell("import")
        import_s = _import(conn, sales, folder)
        tell(f"peer: {size.peer_sales:,} rows one by one, each committed")
        naive_import_s = _import_naively(database_url, sales.slice(0, size.peer_sales))
        tell("fit")
        fitted = _fit(database_url, folder, today)
        tell(f"{size.estimates:,} estimates")
        figures, error_pct = _estimate(conn, unseen, today)
        began_s = monotonic()
        peer = CellMedians(sales)
        cells = peer.estimate(unseen)
        peer_s = monotonic() - began_s
        peer_error_pct = median_error_pct(cells, unseen["price"].to_pylist())
        tell(f"marking {size.marked:,} vehicles")
        ids = _fleet(conn, unseen.slice(0, size.marked))
        mark_s = _mark(database_url)
        tell("valuations over HTTP")
        api_p95_ms = _api_p95_ms(database_url, folder, ids, size.api_seconds)
        scale = 500_000 / size.sales
        figures |= {
            "import_500k_s": import_s * scale,
            "retrain_s": fitted["seconds"],
            "retrain_peak_mb": fitted["peak_mb"],
            "estimates_100k_s": figures["estimates_100k_s"] * 100_000 / size.estimates,
            "mark_100k_s": mark_s * 100_000 / size.marked,
            "api_p95_ms": api_p95_ms,
            "median_error_pct": error_pct,
        }
        naive_500k_s = naive_import_s * 500_000 / size.peer_sales
        return BenchResult(
            bench="valuation",
            workload=(
                f"{size.sales:,} invented sales of {len(kinds)} models; {size.estimates:,} unseen vehicles; "
                f"{size.marked:,} loans marked; peer import {size.peer_sales:,} rows; figures named 500k and "
                "100k are scaled from these counts; noise of the invented prices alone: 3.7 % median"
            ),
            figures=figures,
            peers={
                "row_by_row": {"import_500k_s": naive_500k_s},
                "cell_median": {"estimates_100k_s": peer_s, "median_error_pct": peer_error_pct},
            },
            ratios={
                "row_by_row": naive_500k_s / figures["import_500k_s"],
                "cell_median": peer_error_pct / error_pct,
            },
            machine=describe_machine(conn) | versions("scikit-learn", "pyarrow", "numpy"),
        )


def _import(conn: Connection, sales: pa.Table, folder: Path) -> float:
    path = folder / "sales.parquet"
    parquet.write_table(sales, path)
    began_s = monotonic()
    result = import_file(conn, path, plain_mapping())
    conn.commit()
    spent_s = monotonic() - began_s
    if result.kept < sales.num_rows * 0.98:
        raise Unavailable(
            f"Expected {sales.num_rows} sales kept, was {result.kept}: {dict(result.quarantined)}",
            code="bench_incomplete",
        )
    return spent_s


def _import_naively(database_url: str, sales: pa.Table) -> float:
    rows = sales.to_pylist()
    with connect(database_url, name="bench-peer", autocommit=True) as conn:
        make_peer_table(conn)
        began_s = monotonic()
        insert_one_by_one(conn, rows)
        return monotonic() - began_s


def _fit(database_url: str, folder: Path, day: date) -> dict[str, float]:
    child = start_module([FIT_MODULE, day.isoformat()], database_url, folder, "fit")
    status = child.process.wait()
    said = [line for line in child.log.read_text(encoding="utf-8").splitlines() if line.startswith("fitted ")]
    if status != 0 or not said:
        raise Unavailable(
            f"Expected a fitted model; its log ends:\n{child.log_tail()}", code="bench_incomplete"
        )
    found: dict[str, float] = json.loads(said[-1].removeprefix("fitted "))
    return found


def _estimate(conn: Connection, unseen: pa.Table, today: date) -> tuple[dict[str, float], float]:
    model = newest_model(conn, CURRENCY, CHANNEL)
    if model is None:
        raise Unavailable("Expected a stored model, found none", code="bench_incomplete")
    vehicles = normalise(unseen, plain_mapping()).table
    model.estimate(vehicles.slice(0, 100), np.datetime64(today))  # the first call compiles and caches
    began_s = monotonic()
    found = model.estimate(vehicles, np.datetime64(today))
    spent_s = monotonic() - began_s
    prices = unseen["price"].to_numpy()
    valued = found.estimate_minor > 0
    error_pct = median_error_pct(found.estimate_minor[valued] / 100.0, prices[valued])
    inside = (found.low_minor <= prices * 100) & (prices * 100 <= found.high_minor)
    return {
        "estimates_100k_s": spent_s,
        "valued_share": float(valued.mean()),
        "coverage_90": inside.mean().item(),
    }, error_pct


def _fleet(conn: Connection, vehicles: pa.Table) -> list[str]:
    now = wall_now()
    fleet = [
        FleetVehicle(
            f"M{number:06d}",
            make=row["make"],
            model=row["model"],
            model_year=row["model_year"],
            first_registration=row["first_registration"],
            pledgor=FleetParty(f"MP{number}", f"抵押人{number}"),
            loan=FleetLoan(f"ML{number}", row["price"] * 80, row["price"] * 60, now),
        )
        for number, row in enumerate(vehicles.to_pylist())
    ]
    provision_fleet(conn, fleet)
    conn.commit()
    return [vehicle.vehicle_id for vehicle in fleet]


def _mark(database_url: str) -> float:
    with connect(database_url, name="bench-mark", autocommit=True) as conn:
        began_s = monotonic()
        done = mark_all(conn, Models(), wall_now(), "Asia/Shanghai")
        spent_s = monotonic() - began_s
    if done.vehicles == 0:
        raise Unavailable("Expected marked vehicles, was none", code="bench_incomplete")
    return spent_s


def _api_p95_ms(database_url: str, folder: Path, ids: list[str], seconds: float) -> float:
    with connect(database_url, name="bench", autocommit=True) as conn:
        headers = {"Authorization": f"Bearer {create_token(conn, 'admin')}"}
    rng = random.Random(SEED)  # noqa: S311  which vehicle is asked for, not a secret
    calls = (Call("GET", f"/api/v1/vehicles/{rng.choice(ids)}/valuation", headers) for _ in itertools.count())
    with serving(database_url, folder) as served:
        warm, _ = asyncio.run(run_load(served.port, calls, lines=LINES, seconds=min(2.0, seconds)))
        all_good(warm)
        done, _ = asyncio.run(run_load(served.port, calls, lines=LINES, seconds=seconds))
    all_good(done)
    return quantile([answer.took_ms for _, answer in done], 0.95)
