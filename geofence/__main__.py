"""`python -m geofence`: the replayer, the sweeper and the jobs, until SIGTERM or SIGINT."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from core.clock import Clock, parse_clock_spec, to_ms
from core.errors import Misconfigured
from core.jobs import start_jobs
from core.logging import configure_logging
from core.settings import load_settings
from core.telemetry.clock import open_clock, refresh
from geofence.jobs import geofence_jobs
from geofence.loop import run_until
from geofence.replayer import Replayer
from geofence.sweeper import Sweeper

if TYPE_CHECKING:
    from core.db.pool import Connection


def main() -> None:
    settings = load_settings()
    configure_logging("geofence", json=settings.log_json)
    if not settings.database_url:
        raise Misconfigured("PLEDGEWATCH_DATABASE_URL: expected a database URL, was empty")
    derive = parse_clock_spec(settings.telemetry_clock).kind == "data"
    replayer = Replayer(timezone=settings.timezone, derive_marks=derive)
    sweeper = Sweeper(timezone=settings.timezone, slots=settings.ingest_slots, derive_marks=derive)
    clocks: dict[int, Clock] = {}

    def clock(conn: Connection) -> Clock:
        mine = clocks.get(threading.get_ident()) or open_clock(conn, settings)
        clocks[threading.get_ident()] = mine
        refresh(conn, mine)
        return mine

    def replay(conn: Connection) -> bool:
        return replayer.run_once(conn, now_ms=to_ms(clock(conn).now())) is not None

    def sweep(conn: Connection) -> bool:
        return sweeper.run_once(conn, now=clock(conn).now()).marks > 0

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    url = settings.database_url
    jobs = start_jobs(url, geofence_jobs(settings))
    replays = threading.Thread(target=run_until, args=(stop, url, "replayer", replay))
    replays.start()
    run_until(stop, url, "sweeper", sweep)
    replays.join()
    jobs.shutdown()


if __name__ == "__main__":
    main()
