"""Doctor's look at the machine: programs, folders, ports."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from core.settings import Settings
from pledgewatch.embedded import node as node_finder
from pledgewatch.embedded import ports
from pledgewatch.embedded.findings import Check
from pledgewatch.embedded.lease import Lease
from pledgewatch.embedded.state import prepare_data_dir

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_LIBRARIES = ("maplibre-gl", "terra-draw", "htmx.org", "uplot")
LITTLE_DISK_BYTES = 2_000_000_000
PRIVATE = 0o077


def python(settings: Settings) -> Iterator[Check]:
    """Say which Python runs."""
    yield Check("Python", "ok", f"{platform.python_version()} on {platform.machine()} {platform.system()}")


def node(settings: Settings) -> Iterator[Check]:
    """Node serves the fallback broker and the set-up of the browser libraries."""
    found = node_finder.find_node()
    if found is None:
        oldest = node_finder.OLDEST_MAJOR
        yield Check("Node", "note", f"none of version {oldest} or later", "make setup installs one")
    else:
        yield Check("Node", "ok", f"{found.version}, {found.origin}")


def browser_libraries(settings: Settings) -> Iterator[Check]:
    """Look for the third-party JavaScript of the pages."""
    folder = node_finder.REPOSITORY / "node_modules"
    absent = [name for name in BROWSER_LIBRARIES if not (folder / name).is_dir()]
    if absent:
        yield Check("browser libraries", "missing", f"not installed: {', '.join(absent)}", "make setup")
    else:
        yield Check("browser libraries", "ok", str(folder))


def test_browser(settings: Settings) -> Iterator[Check]:
    """The browser tests need a Chromium; the product does not."""
    for name in BROWSERS:
        found = shutil.which(name)
        if found:
            yield Check("browser for tests", "ok", found)
            return
    yield Check("browser for tests", "note", "no Chromium; the browser tests are skipped", "install chromium")


def data_dir(settings: Settings) -> Iterator[Check]:
    """Check that DATA_DIR can be written, and say who runs there."""
    folder = prepare_data_dir(settings.data_dir)
    lease = Lease(folder, "up")
    if lease.try_own():
        running = "nothing runs there"
        lease.release()
    else:
        running = f"`pledgewatch up` runs there (process {lease.owner_pid()})"
    yield Check("DATA_DIR", "ok", f"{folder}; {running}")


def disk_space(settings: Settings) -> Iterator[Check]:
    """Say how much is free where the database grows."""
    free = shutil.disk_usage(prepare_data_dir(settings.data_dir)).free
    text = f"{free / 1e9:.1f} GB free"
    if free < LITTLE_DISK_BYTES:
        yield Check("disk space", "note", text, "below 2 GB; free some, or set PLEDGEWATCH_DATA_DIR")
    else:
        yield Check("disk space", "ok", text)


def secrets(settings: Settings) -> Iterator[Check]:
    """Generated secrets must be readable by their user alone."""
    folder = settings.data_dir / "secrets"
    if not folder.is_dir():
        yield Check("secrets", "ok", "none yet; generated at the first start")
        return
    open_ones = [path for path in (folder, *sorted(folder.iterdir())) if _is_open(path)]
    if open_ones:
        names = ", ".join(str(path) for path in open_ones)
        yield Check("secrets", "missing", f"others can read {names}", f"chmod -R go= {folder}")
    else:
        yield Check("secrets", "ok", f"{len(list(folder.iterdir()))} in {folder}, private")


def listening_ports(settings: Settings) -> Iterator[Check]:
    """Say whether the ports that were asked for are free."""
    wanted = (
        ("port of the page", settings.http_port, settings.http_host, "PLEDGEWATCH_HTTP_PORT"),
        ("port of PostgreSQL", settings.postgres_port, ports.LOOPBACK, "PLEDGEWATCH_POSTGRES_PORT"),
        ("port of the broker", settings.mqtt_port, ports.LOOPBACK, "PLEDGEWATCH_MQTT_PORT"),
    )
    for part, port, host, variable in wanted:
        if port and not ports.is_free(port, host):
            yield Check(part, "note", f"{port} is in use (perhaps by our own `up`)", f"or set {variable}")
        elif port:
            yield Check(part, "ok", f"{port} is free")


def _is_open(path: Path) -> bool:
    status = path.stat()
    return bool(stat.S_IMODE(status.st_mode) & PRIVATE) or status.st_uid != os.geteuid()
