"""Running a bench on a database and a broker of its own, with fsync on, thrown away afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from core.db.migrate import migrate
from pledgewatch.bench.result import BenchResult
from pledgewatch.embedded.broker import EmbeddedBroker
from pledgewatch.embedded.postgres import EmbeddedPostgres

EXTRA_SETTINGS = {"track_commit_timestamp": "on"}
"""When a report became durable is asked of the server itself."""


def run_bench(name: str, tell: Callable[[str], None], *, long: bool = False) -> BenchResult:
    """Run one bench; ``tell`` hears what is being measured."""
    if name == "geofence":
        from pledgewatch.bench.geofence import bench_geofence

        return bench_geofence(tell, long=long)
    with tempfile.TemporaryDirectory(prefix="pledgewatch-bench-") as folder:
        tell("PostgreSQL, fsync on")
        with EmbeddedPostgres(Path(folder) / "postgres", extra_settings=EXTRA_SETTINGS) as server:
            migrate(server.dsn)
            if name == "alerts":
                from pledgewatch.bench.alerts import bench_alerts

                return bench_alerts(server.dsn, tell, long=long)
            if name == "api":
                from pledgewatch.bench.api import bench_api

                return bench_api(server.dsn, Path(folder), tell, long=long)
            if name == "auction":
                from pledgewatch.bench.auction import bench_auction

                return bench_auction(server.dsn, Path(folder), tell, long=long)
            if name == "valuation":
                from pledgewatch.bench.valuation import bench_valuation

                return bench_valuation(server.dsn, Path(folder), tell, long=long)
            from pledgewatch.bench.ingest import bench_ingest

            with EmbeddedBroker(Path(folder) / "broker") as broker:
                return bench_ingest(server, broker, tell, long=long)
