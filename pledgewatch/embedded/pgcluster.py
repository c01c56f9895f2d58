"""The files of the embedded PostgreSQL: where they live, initdb, configuration, stale locks."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.clock import monotonic
from core.errors import Conflict, Misconfigured, Unavailable
from pledgewatch.embedded.identity import Identity, launch_command
from pledgewatch.embedded.pause import Pause
from pledgewatch.embedded.pgbinaries import PostgresBinaries
from pledgewatch.embedded.processes import is_alive
from pledgewatch.embedded.state import write_private

ROLE = "pledgewatch"
INITDB_TIMEOUT_S = 180
# Where root keeps a cluster that an unprivileged user must reach, when DATA_DIR is out of its reach.
SERVICE_PLACES = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108  owner and mode are checked before use
ORPHAN_WAIT_S = 20.0

# A small machine: two cores and a few gigabytes. Durability is never traded.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    # A socket path may be at most 107 bytes long, and a clone can sit deeper than that.
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "min_wal_size": "128MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "log_checkpoints": "off",
    "log_min_duration_statement": "2s",
}


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds the cluster (`data`), reachable by the identity that serves it."""

    root: Path
    identity: Identity

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def exists(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    @property
    def major(self) -> int | None:
        """Return the version that made the data, None before the first start."""
        if not self.exists:
            return None
        return int((self.data / "PG_VERSION").read_text(encoding="ascii").strip())


def choose_home(data_dir: Path, identity: Identity) -> Home:
    """Return where the cluster of a DATA_DIR lives, and create the folder.

    It is DATA_DIR/postgres, except for a user dropped from root who cannot enter it (a clone under a
    0700 home): then a folder of that user's own outside. We never open up a folder that is not ours.

    Raises:
        Misconfigured: the data belongs to another user, or no place is reachable.
    """
    inside = data_dir / "postgres"
    if identity.kind != "dropped" or identity.can_enter(data_dir):
        return _claim(Home(inside, identity))
    name = "pledgewatch-" + hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    for place in SERVICE_PLACES:
        if os.access(place, os.W_OK) and identity.can_enter(place):
            return _claim(Home(place / name, identity))
    raise Misconfigured(
        f"PostgreSQL must not run as root, and uid {identity.uid} can enter neither {data_dir} nor "
        f"{' or '.join(map(str, SERVICE_PLACES))}. Set PLEDGEWATCH_DATA_DIR to a folder outside root's home.",
        code="data_dir_not_reachable",
    )


def _claim(home: Home) -> Home:
    owner = home.identity.owner()
    try:
        home.root.mkdir(mode=0o700)
    except FileExistsError:
        status = home.root.lstat()
        if home.root.is_symlink() or status.st_uid != owner[0]:
            raise Misconfigured(
                f"PLEDGEWATCH_DATA_DIR: expected {home.root} to belong to uid {owner[0]}, it belongs to uid "
                f"{status.st_uid}: another user started Pledgewatch here. Start it as that user, or set "
                "PLEDGEWATCH_DATA_DIR to another folder.",
                code="data_dir_of_another_user",
            ) from None
    else:
        if owner != (os.geteuid(), os.getegid()):
            os.chown(home.root, *owner)
    return home


def reachable(binaries: PostgresBinaries, home: Home) -> PostgresBinaries:
    """Return binaries that the identity can run: these, or a copy of them beside the cluster."""
    if home.identity.kind != "dropped" or home.identity.can(str(binaries.bin_dir / "postgres"), "--version"):
        return binaries
    if not binaries.copy_roots:
        raise Misconfigured(
            f"PostgreSQL: uid {home.identity.uid} cannot run {binaries.bin_dir}/postgres, and only the wheel "
            "can be copied. Run `make setup`, or set PLEDGEWATCH_DATABASE_URL.",
            code="postgres_not_runnable",
        )
    copy = home.root / f"server-{binaries.version}"
    if not copy.exists():
        fresh = home.root / f".server-{binaries.version}.{os.getpid()}"
        for source, place in binaries.copy_roots:
            shutil.copytree(
                source, fresh / place, symlinks=True, ignore=shutil.ignore_patterns("*.a", "include")
            )
        fresh.chmod(0o755)
        for folder in fresh.rglob("*"):
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o755)
        fresh.rename(copy)
    bin_dir = copy / binaries.copy_roots[0][1] / "bin"
    return PostgresBinaries(bin_dir, binaries.version, binaries.origin + ", copied", binaries.copy_roots)


def initialise(home: Home, binaries: PostgresBinaries, password: str) -> None:
    """Run initdb; a crash half-way leaves nothing that looks like a cluster."""
    fresh = home.root / "data.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    password_file = home.root / ".initial-password"
    write_private(password_file, password + "\n", owner=home.identity.owner())
    try:
        result = subprocess.run(
            [
                *launch_command(home.identity, death_signal=9),
                str(binaries.bin_dir / "initdb"), "--pgdata", str(fresh), "--username", ROLE,
                "--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8",
                "--locale", "C", "--data-checksums",
            ],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=home.root,
            timeout=INITDB_TIMEOUT_S, check=False,
        )  # fmt: skip
    finally:
        password_file.unlink()
    if result.returncode != 0:
        raise Unavailable(
            f"PostgreSQL: initdb failed in {home.root}: {(result.stderr or result.stdout).strip()[-800:]}",
            code="initdb_failed",
        )
    with (fresh / "postgresql.conf").open("a", encoding="utf-8") as handle:
        handle.write("\ninclude 'pledgewatch.conf'\n")
    fresh.rename(home.data)


def configure(home: Home, port: int, extra: Mapping[str, str]) -> None:
    """Write the settings of this start."""
    values = {**SETTINGS, "port": str(port), **extra}
    lines = ["# Written at every start by pledgewatch/embedded/pgcluster.py; edits are lost."]
    for name, value in values.items():
        quoted = value.replace("'", "''")
        lines.append(f"{name} = '{quoted}'")
    write_private(home.data / "pledgewatch.conf", "\n".join(lines) + "\n", owner=home.identity.owner())


def await_no_server(home: Home) -> None:
    """Wait for a server of a killed run to end; remove the lock file it may have left.

    PostgreSQL itself only asks whether *some* process has the recorded pid. After a reboot, or in a
    container, that is often a stranger, and it would refuse to start for ever.

    Raises:
        Conflict: a server is still running on this data.
    """
    lock = home.data / "postmaster.pid"
    deadline = monotonic() + ORPHAN_WAIT_S
    pause = Pause()
    while lock.exists():
        first = lock.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
        pid = int(first) if first.isdigit() else 0
        if not _is_server_on(pid, home.data):
            lock.unlink(missing_ok=True)
            return
        if monotonic() > deadline:
            raise Conflict(
                f"PostgreSQL: expected no server on {home.data}, process {pid} still runs there. "
                "Stop the other `pledgewatch up`, or set PLEDGEWATCH_DATA_DIR to another folder.",
                code="postgres_already_running",
                pid=pid,
            )
        pause()


def _is_server_on(pid: int, data: Path) -> bool:
    if pid <= 0 or not is_alive(pid):
        return False
    try:
        return Path(f"/proc/{pid}/cwd").resolve() == data.resolve()
    except PermissionError:
        # Another user's process: our data is 0700, so it cannot be serving from here.
        return False
    except FileNotFoundError:
        return False
