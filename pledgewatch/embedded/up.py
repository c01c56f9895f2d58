"""`pledgewatch up`: everything in the foreground, until Ctrl-C."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from core.clock import monotonic
from core.db.migrate import migrate
from core.settings import Settings
from pledgewatch.embedded import ports
from pledgewatch.embedded.lease import Lease
from pledgewatch.embedded.stack import StackHandle, already_running
from pledgewatch.embedded.state import prepare_data_dir
from pledgewatch.embedded.supervisor import RoomProcess, Supervisor

PAGE_TIMEOUT_S = 90.0
TICK_S = 0.25
HTTP_PORT_VARIABLE = "PLEDGEWATCH_HTTP_PORT"

Ready = Callable[[StackHandle, str], None]


class StopAskedError(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal; not an Exception, so that nothing swallows it."""


def room_commands(settings: Settings) -> list[tuple[str, list[str]]]:
    """Return the programs in the order of their start: who consumes before who produces."""
    python = [sys.executable, "-m"]
    workers = [
        ("ingest" if number == 0 else f"ingest-{number + 1}", [*python, "ingest"])
        for number in range(settings.ingest_slots)
    ]
    return [
        *workers,
        ("geofence", [*python, "geofence"]),
        ("alerts", [*python, "alerts"]),
        ("valuation", [*python, "valuation"]),
        ("auction", [*python, "auction"]),
        ("events", [*python, "pledgewatch", "events"]),
        ("api", [*python, "api"]),
    ]


def run_up(settings: Settings, demo: bool, *, on_ready: Ready | None = None) -> None:
    """Run the whole product on DATA_DIR until a signal; `on_ready(stack, page_url)` prints what follows.

    Raises:
        Conflict: another `up` runs there.
        PortBusy: a port is taken; names the variable that changes it.
    """
    console = Console(stderr=True)
    prepare_data_dir(settings.data_dir)
    up_lock = Lease(settings.data_dir, "up")
    if not up_lock.try_own():
        raise already_running(settings.data_dir, up_lock.owner_pid())
    stack = StackHandle(settings)
    supervisor = Supervisor(lambda text: console.print(f"[dim]·[/dim] {text}", highlight=False))
    try:
        with _signals_stop():
            _run(settings, demo, stack, supervisor, console, on_ready)
    except (StopAskedError, KeyboardInterrupt):
        console.print("Stopping (once more Ctrl-C kills) …")
    finally:
        with contextlib.ExitStack() as ending:
            ending.callback(up_lock.release)
            ending.callback(stack.broker.close, wait_for_users=False)
            ending.callback(stack.postgres.close, wait_for_users=False)
            supervisor.stop()
    console.print(f"Stopped; the data stays in {settings.data_dir}", soft_wrap=True)


def _run(
    settings: Settings,
    demo: bool,
    stack: StackHandle,
    supervisor: Supervisor,
    console: Console,
    on_ready: Ready | None,
) -> None:
    http_port = _http_port(settings)
    with _stage(console, "PostgreSQL (the first start makes the cluster) …"):
        if not settings.database_url:
            stack.postgres.own()
        database_url = stack.database_url
    with _stage(console, "MQTT broker …"):
        if not settings.mqtt_url:
            stack.broker.own()
        mqtt_url = stack.mqtt_url
    if stack.postgres.owned:
        supervisor.add("PostgreSQL", stack.postgres_server)
    if stack.broker.owned:
        supervisor.add("MQTT broker", stack.broker_server)
    with _stage(console, "Migrations …") as tell:
        migrate(database_url, tell=lambda name: tell(f"Migrations: {name} …"))

    story = importlib.import_module("pledgewatch.demo") if demo else None
    environment = {
        **os.environ,
        **(story.environment(settings, database_url) if story is not None else {}),
        "PLEDGEWATCH_DATA_DIR": str(stack.data_dir),
        "PLEDGEWATCH_DATABASE_URL": database_url,
        "PLEDGEWATCH_MQTT_URL": mqtt_url,
        "PLEDGEWATCH_CONTACTS_KEY": stack.contacts_key,
        "PLEDGEWATCH_WEBHOOK_SECRET": stack.webhook_secret,
        "PLEDGEWATCH_HTTP_HOST": settings.http_host,
        "PLEDGEWATCH_HTTP_PORT": str(http_port),
        "PYTHONUNBUFFERED": "1",
    }
    rooms = _start_rooms(settings, environment, stack.data_dir, supervisor, console)
    page_url = f"http://{_browsable(settings.http_host)}:{http_port}"
    alive = _await_page(page_url, supervisor, console)
    console.print(_table(stack, rooms, page_url))
    if alive:
        console.print(f"The page is at [bold]{page_url}[/bold] · Ctrl-C stops everything")
    else:
        console.print(f"[red]The page does not answer yet[/red]; see {stack.data_dir / 'logs' / 'api.log'}")
    if on_ready is not None:
        on_ready(stack, page_url)
    if story is not None:
        story.open_yards(database_url)
        fleet = RoomProcess(
            "demo fleet", story.command(stack.data_dir), environment, stack.data_dir / "logs" / "demo.log"
        )
        supervisor.add("demo fleet", fleet)
        sale = RoomProcess(
            "demo sale", story.sale_command(), environment, stack.data_dir / "logs" / "demo-sale.log"
        )
        supervisor.add("demo sale", sale)
        story.show_progress(console, database_url)
    idle = threading.Event()
    while True:
        supervisor.tick()
        idle.wait(TICK_S)


@contextlib.contextmanager
def _stage(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Show what is being done: a spinner on a terminal, lines in a log."""
    if not console.is_terminal:
        console.print(text, highlight=False, soft_wrap=True)
        yield lambda more: console.print(more, highlight=False, soft_wrap=True)
        return
    with console.status(text) as status:
        yield status.update


def _http_port(settings: Settings) -> int:
    if settings.http_port == 0:
        return ports.any_free(settings.http_host)
    if not ports.is_free(settings.http_port, settings.http_host):
        raise ports.PortBusy("The web page", settings.http_port, HTTP_PORT_VARIABLE, settings.http_host)
    return settings.http_port


def _start_rooms(
    settings: Settings,
    environment: Mapping[str, str],
    data_dir: Path,
    supervisor: Supervisor,
    console: Console,
) -> list[RoomProcess]:
    rooms = []
    with _stage(console, "Processes …") as tell:
        for name, command in room_commands(settings):
            tell(f"Processes: {name} …")
            room = RoomProcess(name, command, environment, data_dir / "logs" / f"{name}.log")
            supervisor.add(name, room)
            rooms.append(room)
    return rooms


def _await_page(page_url: str, supervisor: Supervisor, console: Console) -> bool:
    deadline = monotonic() + PAGE_TIMEOUT_S
    idle = threading.Event()
    with _stage(console, "Waiting for the page …"):
        while monotonic() < deadline:
            if _answers(f"{page_url}/health/live"):
                return True
            supervisor.tick()
            idle.wait(TICK_S)
    return False


def _answers(url: str) -> bool:
    # Without the environment's proxies: this is our own loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _browsable(host: str) -> str:
    return ports.LOOPBACK if host in {"0.0.0.0", "::", ""} else host  # noqa: S104  a comparison, not a bind


def _table(stack: StackHandle, rooms: list[RoomProcess], page_url: str) -> Table:
    table = Table("component", "how", box=None, header_style="bold")
    for heading in ("address", "log"):
        table.add_column(heading, no_wrap=True)
    table.add_row("PostgreSQL", stack.database_how, _address(stack.database_url), "logs/postgres.log")
    table.add_row("MQTT broker", stack.broker_how, _address(stack.device_mqtt_url), "logs/broker.log")
    for room in rooms:
        where = page_url if room.name == "api" else ""
        table.add_row(room.name, f"process {room.pid}", where, f"logs/{room.log.name}")
    table.caption = f"logs are in {stack.data_dir / 'logs'}"
    return table


def _address(url: str) -> str:
    return url.rpartition("@")[2] or url


@contextlib.contextmanager
def _signals_stop() -> Iterator[None]:
    """Turn the first stop signal into StopAskedError; the second one ends us as signals do."""

    def ask(number: int, frame: FrameType | None) -> None:
        for name in STOP_SIGNALS:
            signal.signal(name, signal.SIG_DFL)
        raise StopAskedError

    before = {name: signal.signal(name, ask) for name in STOP_SIGNALS}
    try:
        yield
    finally:
        asked = isinstance(sys.exc_info()[1], StopAskedError)
        if not asked:
            for name, handler in before.items():
                signal.signal(name, handler)


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
