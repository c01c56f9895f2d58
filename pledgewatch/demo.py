"""The demo: thirty days of a fictional city through the real pipeline, then now, then the story.

The deployment's clock is scaled, so that history arrives fast and time then meets the wall clock;
the fleet is `pledgewatch simulate --scenario story`, a process like any other, and so is what sells a
vehicle of the yard when time has met now. A second start goes on where the first one stopped.
"""

from __future__ import annotations

import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.progress import BarColumn, Progress, TextColumn

from alerts.recovery.domain import Yard
from alerts.recovery.store.yards import get_yard, save_yard
from collateral.org.tree import HEAD
from core.clock import ScaledClock, parse_clock_spec, wall_now
from core.db.pool import connect
from core.settings import Settings
from core.telemetry.clock import open_clock
from core.telemetry.clock_row.store import stored_spec
from simulator.city.build import city_of
from simulator.city.geojson import city_geojson
from simulator.city.network import to_wgs84

if TYPE_CHECKING:
    from rich.console import Console

SEED = 7
VEHICLES = 24
HISTORY = timedelta(days=30)
HISTORY_TAKES = timedelta(seconds=150)
"""Wall time of the history: fast enough for a first look, slow enough for two cores to follow."""


def environment(settings: Settings, database_url: str) -> dict[str, str]:
    """Return the rooms' settings for the demo: a clock that starts in the past, sales that take minutes.

    A scaled clock that the operator has set stands.
    """
    law = {"PLEDGEWATCH_POLICY_PACK": "demo"}
    if parse_clock_spec(settings.telemetry_clock).kind == "scaled":
        return law
    with connect(database_url, name="demo") as conn:
        spec = stored_spec(conn)
    if spec is None or parse_clock_spec(spec).kind != "scaled":
        start = (wall_now() - HISTORY).replace(microsecond=0)
        spec = f"scaled:{start.isoformat()}:{HISTORY / HISTORY_TAKES + 1:.0f}"
    return law | {"PLEDGEWATCH_TELEMETRY_CLOCK": spec}


def command(data_dir: Path) -> list[str]:
    """Write the city's map for the page, and return the command line of the fleet."""
    roads = data_dir / "map" / "roads.geojson"
    roads.parent.mkdir(parents=True, exist_ok=True)
    roads.write_bytes(msgspec.json.encode(city_geojson(city_of(SEED))))
    return [
        sys.executable, "-m", "pledgewatch", "simulate", "--scenario", "story",
        "--seed", str(SEED), "--vehicles", str(VEHICLES),
    ]  # fmt: skip


def open_yards(database_url: str) -> None:
    """Register the city's yards, so that a crew of the demo can book a vehicle in; a known one stays."""
    with connect(database_url, name="demo") as conn:
        for place in city_of(SEED).of("yard"):
            if get_yard(conn, place.place_id) is None:
                lat, lon = to_wgs84(place.centre)
                save_yard(conn, Yard(place.place_id, place.name, HEAD, lat, lon, ""))


def sale_command() -> list[str]:
    """Return the command line of what comes after the history: values, a lot, bidders."""
    return [sys.executable, "-m", "pledgewatch.demo_sale"]


def show_progress(console: Console, database_url: str) -> None:
    """Draw telemetry time on its way to now, in a thread of its own; says when they meet."""
    with connect(database_url, name="demo", autocommit=True) as conn:
        spec = stored_spec(conn)
        clock = open_clock(conn, Settings(telemetry_clock=spec or "wall"))
    if isinstance(clock, ScaledClock) and clock.meets_wall_at() > wall_now():
        threading.Thread(target=_draw, args=(console, clock), name="demo-progress", daemon=True).start()


def _draw(console: Console, clock: ScaledClock) -> None:
    columns = (TextColumn("thirty days of history: {task.fields[day]}"), BarColumn())
    tick = threading.Event()
    meets = clock.meets_wall_at()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=(meets - clock.start).total_seconds(), day="")
        while (now := clock.now()) < meets:
            progress.update(bar, completed=(now - clock.start).total_seconds(), day=f"{now:%Y-%m-%d %H:%M}")
            tick.wait(0.5)
    console.print(
        "History has met now; the story's alert comes within a minute or two, and on /lots a vehicle of the"
        " yard is bid on for five minutes.",
        highlight=False,
    )
