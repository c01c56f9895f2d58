"""The embedded PostgreSQL: as whoever we are, after whatever happened to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.errors import Conflict, Misconfigured
from pledgewatch.embedded import pgbinaries, postgres
from pledgewatch.embedded.identity import LAUNCHER, choose_identity, dropped_identity
from pledgewatch.embedded.node import REPOSITORY
from pledgewatch.embedded.pgbinaries import PostgresBinaries, find_postgres
from pledgewatch.embedded.ports import PortBusy
from pledgewatch.embedded.postgres import EmbeddedPostgres
from pledgewatch.embedded.processes import is_alive
from pledgewatch.embedded.state import read_state
from tests.fix_stack import eventually

ROOT = os.geteuid() == 0
root_only = pytest.mark.skipif(not ROOT, reason="only root can become another user")


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A DATA_DIR; what a user dropped from root keeps outside of it is removed too."""
    folder = tmp_path / "data"
    yield folder
    home = Path(read_state(folder / "postgres.json").get("home", folder))
    if not home.is_relative_to(folder):
        assert home.name.startswith("pledgewatch-")
        shutil.rmtree(home)


def ask(dsn: str, question: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return str(row[0])


def remember(dsn: str, text: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (text text)")
        connection.execute("INSERT INTO kept VALUES (%s)", (text,))


def modes_above(path: Path) -> dict[Path, int]:
    return {folder: stat.S_IMODE(folder.stat().st_mode) for folder in (path, *path.parents)}


def test_it_is_durable_checked_and_in_utc(data_dir: Path):
    with EmbeddedPostgres(data_dir) as server:
        settings = {
            name: ask(server.dsn, f"SELECT current_setting('{name}')")
            for name in ("fsync", "data_checksums", "server_encoding", "timezone", "listen_addresses")
        }
        collation = ask(server.dsn, "SELECT datcollate FROM pg_database WHERE datname = current_database()")
        assert ask(server.dsn, "SHOW server_version").startswith(server.pg_version)
    assert settings == {
        "fsync": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "timezone": "UTC",
        "listen_addresses": "127.0.0.1",
    }
    assert collation == "C"


def test_it_lets_nobody_in_without_the_generated_password(data_dir: Path):
    with EmbeddedPostgres(data_dir) as server:
        port = read_state(data_dir / "postgres.json")["port"]
        for password in ("", "pledgewatch", "postgres"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(
                    host="127.0.0.1", port=port, user="pledgewatch", dbname="pledgewatch", password=password
                )
        secret = data_dir / "secrets" / "postgres_password"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert secret.read_text().strip() in server.dsn


def test_a_second_start_reuses_data_port_and_password(data_dir: Path):
    with EmbeddedPostgres(data_dir) as server:
        first = server.dsn
        remember(first, "from the first run")
    with EmbeddedPostgres(data_dir) as server:
        assert server.dsn == first
        assert ask(server.dsn, "SELECT text FROM kept") == "from the first run"


def test_after_kill_9_of_the_postmaster_it_starts_again_with_what_was_committed(data_dir: Path):
    with EmbeddedPostgres(data_dir) as server:
        first = server.dsn
        remember(first, "committed")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not server.running, what="the crash to be seen")
        assert server.start() == first
        assert ask(first, "SELECT text FROM kept") == "committed"


def test_a_lock_file_that_names_a_strangers_pid_does_not_stop_it(data_dir: Path):
    with EmbeddedPostgres(data_dir) as server:
        remember(server.dsn, "kept")
        home = Path(read_state(data_dir / "postgres.json")["home"])
    # After a reboot the recorded pid is often somebody else's; PostgreSQL alone would refuse for ever.
    (home / "data" / "postmaster.pid").write_text(f"{os.getppid()}\n{home / 'data'}\n1\n5432\n\n127.0.0.1\n")
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.dsn, "SELECT text FROM kept") == "kept"


def test_a_server_that_still_runs_on_the_data_is_not_started_twice(data_dir: Path, monkeypatch):
    monkeypatch.setattr("pledgewatch.embedded.pgcluster.ORPHAN_WAIT_S", 0.3)
    with EmbeddedPostgres(data_dir) as server:
        with pytest.raises(Conflict, match="still runs") as caught:
            EmbeddedPostgres(data_dir).start()
        assert caught.value.facts["pid"] == server.pid
        assert ask(server.dsn, "SELECT 'unharmed'") == "unharmed"


def test_a_busy_port_is_named_with_its_variable(data_dir: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortBusy, match=rf"port {port} .*PLEDGEWATCH_POSTGRES_PORT"):
            EmbeddedPostgres(data_dir, port).start()


def test_a_remembered_port_that_was_taken_meanwhile_is_given_up(data_dir: Path):
    with EmbeddedPostgres(data_dir):
        port = read_state(data_dir / "postgres.json")["port"]
    with socket.create_server(("127.0.0.1", port)), EmbeddedPostgres(data_dir) as server:
        assert ask(server.dsn, "SELECT 'up'") == "up"
        assert read_state(data_dir / "postgres.json")["port"] != port


def test_a_lost_password_file_is_explained(data_dir: Path):
    with EmbeddedPostgres(data_dir):
        pass
    secret = data_dir / "secrets" / "postgres_password"
    kept = secret.read_text()
    secret.unlink()
    with pytest.raises(Misconfigured, match="postgres_password, the file is gone"):
        EmbeddedPostgres(data_dir).start()
    secret.write_text("another\n")
    with pytest.raises(Conflict, match="not the one of the existing data"):
        EmbeddedPostgres(data_dir).start()
    secret.write_text(kept)
    with EmbeddedPostgres(data_dir) as server:
        assert server.running


def test_a_half_made_cluster_is_made_again(data_dir: Path):
    broken = data_dir / "postgres" / "data.new"
    broken.mkdir(parents=True)
    (broken / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(data_dir) as server:
        assert ask(server.dsn, "SELECT 'whole'") == "whole"


def test_data_of_a_version_that_nobody_here_can_serve_is_explained(data_dir: Path):
    (data_dir / "postgres" / "data").mkdir(parents=True)
    (data_dir / "postgres" / "data" / "PG_VERSION").write_text("12\n")
    with pytest.raises(Misconfigured, match="version 12, which made the existing data"):
        EmbeddedPostgres(data_dir).start()


@pytest.mark.parametrize("identity", ["chosen", pytest.param("dropped", marks=root_only)])
def test_a_killed_parent_leaves_no_server_and_the_data_is_whole(data_dir: Path, identity: str):
    script = textwrap.dedent(
        """
        import sys, threading
        from pathlib import Path
        from pledgewatch.embedded.postgres import EmbeddedPostgres
        from pledgewatch.embedded.identity import choose_identity, dropped_identity
        identity = dropped_identity() if sys.argv[2] == "dropped" else choose_identity()
        # From a thread that ends at once: the death signal must follow the process, not the thread.
        server = EmbeddedPostgres(Path(sys.argv[1]), identity=identity)
        thread = threading.Thread(target=server.start)
        thread.start()
        thread.join()
        print(server.pid, server.dsn, flush=True)
        threading.Event().wait()
        """
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(data_dir), identity],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid_text, dsn = parent.stdout.readline().split()
    pid = int(pid_text)
    remember(dsn, "before the kill")
    assert is_alive(pid)
    parent.kill()
    parent.communicate(timeout=30)
    eventually(lambda: not is_alive(pid), what="the server to follow its parent")
    again = dropped_identity() if identity == "dropped" else choose_identity()
    with EmbeddedPostgres(data_dir, identity=again) as server:
        assert ask(server.dsn, "SELECT text FROM kept") == "before the kill"


def test_an_installed_server_serves_where_the_wheel_is_absent(data_dir: Path, monkeypatch):
    installed = [found for found in pgbinaries.candidates() if not found.copy_roots]
    if not installed:
        pytest.skip("no PostgreSQL is installed on this machine beside the wheel")
    monkeypatch.setattr(postgres, "find_postgres", lambda major: installed[0])
    with EmbeddedPostgres(data_dir) as server:
        assert server.pg_version == installed[0].version
        assert ask(server.dsn, "SELECT 'installed'") == "installed"


@root_only
def test_root_hides_its_uid_in_a_namespace_where_the_kernel_allows_that(data_dir: Path):
    identity = choose_identity()
    if identity.kind != "namespace":
        pytest.skip("user namespaces are not permitted here")
    data_dir.mkdir(mode=0o700)
    before = modes_above(data_dir)
    with EmbeddedPostgres(data_dir) as server:
        assert Path(read_state(data_dir / "postgres.json")["home"]).is_relative_to(data_dir)
        assert Path(f"/proc/{server.pid}").stat().st_uid == 0
    assert modes_above(data_dir) == before


@root_only
def test_without_namespaces_root_drops_to_another_user_and_opens_no_folder(data_dir: Path):
    # The temporary folder is 0700 and root's, like a clone in root's home.
    data_dir.mkdir(mode=0o700)
    before = modes_above(data_dir)
    identity = dropped_identity()
    for attempt in ("first", "second"):
        with EmbeddedPostgres(data_dir, identity=identity) as server:
            assert Path(f"/proc/{server.pid}").stat().st_uid == identity.uid
            remember(server.dsn, attempt)
            seen = ask(server.dsn, "SELECT string_agg(text, ' ') FROM kept")
    assert seen == "first second"
    assert modes_above(data_dir) == before
    home = Path(read_state(data_dir / "postgres.json")["home"])
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert home.stat().st_uid == identity.uid


@root_only
def test_binaries_below_a_private_home_are_served_from_a_copy(data_dir: Path, tmp_path: Path, monkeypatch):
    wheel = find_postgres()
    if not wheel.copy_roots:
        pytest.skip("the wheel is not installed")
    private = tmp_path / "home"
    private.mkdir(mode=0o700)
    roots = []
    for source, place in wheel.copy_roots:
        shutil.copytree(source, private / place, symlinks=True)
        roots.append((private / place, place))
    hidden = PostgresBinaries(roots[0][0] / "bin", wheel.version, wheel.origin, tuple(roots))
    monkeypatch.setattr(postgres, "find_postgres", lambda major: hidden)
    before = modes_above(private)
    with EmbeddedPostgres(data_dir, identity=dropped_identity()) as server:
        home = Path(read_state(data_dir / "postgres.json")["home"])
        running = Path(f"/proc/{server.pid}/exe").readlink()
        assert running.is_relative_to(home)
        assert "copied" in server.how
        assert ask(server.dsn, "SELECT 'from the copy'") == "from the copy"
    assert modes_above(private) == before


@root_only
def test_the_data_of_another_user_is_refused_by_name(data_dir: Path):
    data_dir.mkdir()
    (data_dir / "postgres").mkdir()
    nobody = dropped_identity()
    os.chown(data_dir / "postgres", nobody.uid, nobody.gid)
    with pytest.raises(Misconfigured, match=f"belongs to uid {nobody.uid}"):
        EmbeddedPostgres(data_dir).start()


@root_only
def test_an_ordinary_user_starts_it_from_a_clone_in_a_private_home():
    nobody = dropped_identity()
    python = python_of(nobody.uid, nobody.gid)
    packages = str(Path(psycopg.__file__).parents[1])
    home = Path(tempfile.mkdtemp(prefix="pw-home-"))
    try:
        for room in ("core", "pledgewatch", "deploy"):
            shutil.copytree(REPOSITORY / room, home / "clone" / room)
        for path in (home, *home.rglob("*")):
            os.chown(path, nobody.uid, nobody.gid)
        script = (
            "import os; from pathlib import Path; import psycopg;"
            "from pledgewatch.embedded.postgres import EmbeddedPostgres;"
            "from pledgewatch.embedded.identity import choose_identity;"
            "server = EmbeddedPostgres(Path('.data')); server.start();"
            "print(os.geteuid(), choose_identity().kind, psycopg.connect(server.dsn).execute('SELECT 41 + 1').fetchone()[0]);"
            "server.stop()"
        )
        said = subprocess.run(
            [sys.executable, "-I", "-S", str(LAUNCHER), "--parent", str(os.getpid()),
             "--drop", str(nobody.uid), str(nobody.gid), "--", python, "-c", script],
            cwd=home / "clone", capture_output=True, text=True, timeout=120, check=False,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{home / 'clone'}:{packages}", "HOME": str(home)},
        )  # fmt: skip
        assert said.returncode == 0, said.stderr
        assert said.stdout.split() == [str(nobody.uid), "direct", "42"]
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    finally:
        shutil.rmtree(home)


def python_of(uid: int, gid: int) -> str:
    """An interpreter of our version that another user may run, with our packages within its reach."""
    wanted = f"{sys.version_info.major}.{sys.version_info.minor}"
    probe = f"import sys; assert sys.version.startswith({wanted + '.'!r}); import psycopg, pydantic"
    packages = str(Path(psycopg.__file__).parents[1])
    for program in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin") or ""):
        if not program:
            continue
        tried = subprocess.run(
            [sys.executable, "-I", "-S", str(LAUNCHER), "--parent", str(os.getpid()),
             "--drop", str(uid), str(gid), "--", program, "-c", probe],
            cwd="/", capture_output=True, timeout=60, check=False, env={"PYTHONPATH": packages},
        )  # fmt: skip
        if tried.returncode == 0:
            return program
    pytest.skip(f"no Python {wanted} with our packages that uid {uid} may run")
