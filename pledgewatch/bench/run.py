"""Running a bench on a database and a broker of its own, with fsync on, thrown away afterwards."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from core.db.migrate import migrate
from core.db.pool import connect
from core.settings import load_settings
from pledgewatch.bench.result import BenchResult
from pledgewatch.embedded.broker import EmbeddedBroker
from pledgewatch.embedded.postgres import EmbeddedPostgres
from pledgewatch.embedded.store import create_database, drop_database

EXTRA_SETTINGS = {"track_commit_timestamp": "on"}
"""When a report became durable is asked of the server itself."""


def run_bench(name: str, tell: Callable[[str], None], *, long: bool = False) -> BenchResult:
    """Run one bench; ``tell`` hears what is being measured."""
    if name == "geofence":
        from pledgewatch.bench.geofence import bench_geofence

        return bench_geofence(tell, long=long)
    if name == "storage" and (url := load_settings().test_database_url):
        return _storage_on(url, tell)
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
            if name == "storage":
                from pledgewatch.bench.storage.measuring import bench_storage

                return bench_storage(server.dsn, tell)
            if name == "valuation":
                from pledgewatch.bench.valuation import bench_valuation

                return bench_valuation(server.dsn, Path(folder), tell, long=long)
            from pledgewatch.bench.ingest import bench_ingest

            with EmbeddedBroker(Path(folder) / "broker") as broker:
                return bench_ingest(server, broker, tell, long=long)


def _storage_on(server_url: str, tell: Callable[[str], None]) -> BenchResult:
    """Measure in a database of its own on the server of PLEDGEWATCH_TEST_DATABASE_URL."""
    from pledgewatch.bench.storage.measuring import bench_storage

    name = f"pw_bench_{secrets.token_hex(6)}"
    with connect(server_url, name="bench", autocommit=True) as admin:
        create_database(admin, name, None)
        try:
            url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
            migrate(url)
            return bench_storage(url, tell)
        finally:
            drop_database(admin, name)
