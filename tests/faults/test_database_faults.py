"""A database that is killed, restarted, full, broken or restored: the worker waits, then everything is stored.

A server of its own with fsync, since it is killed.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from core.db.migrate import migrate
from pledgewatch.embedded.pgbinaries import find_postgres
from pledgewatch.embedded.postgres import EmbeddedPostgres
from tests.faults.field import track
from tests.faults.small_disk import Ballast, small_disk
from tests.fix_faults import FaultStack, row, seeded
from tests.fix_stack import eventually, in_database, start_broker

pytestmark = pytest.mark.broker

FAILING_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int broken(void) { const char *flag = getenv("FAULT_FLAG"); return flag && access(flag, F_OK) == 0; }
int fdatasync(int fd) {
    if (broken()) { errno = EIO; return -1; }
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"""


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    server = EmbeddedPostgres(folder / "pg")
    with failing_disk(folder):
        server.start()
    migrate(server.dsn)
    broker = start_broker(folder / "broker")
    stack = FaultStack(server.dsn, broker, folder)
    yield stack, server
    stack.close()
    broker.embedded.stop()
    server.stop()


@contextlib.contextmanager
def failing_disk(folder: Path):
    """Let servers started inside fail to flush while the file ``disk-fails`` exists; nothing without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        yield
        return
    source, shim = folder / "shim.c", folder / "shim.so"
    source.write_text(FAILING_DISK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    kept = dict(os.environ)
    os.environ |= {"LD_PRELOAD": str(shim), "FAULT_FLAG": str(folder / "disk-fails")}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


@row("F05")
@seeded(20)
def test_a_database_killed_under_load_stalls_and_then_everything_is_stored(own_server, seed):
    stack, server = own_server
    chance = random.Random(seed)
    worker = stack.ensure_worker()
    with stack.fleet(stack.accounts(), seed=seed) as fleet:
        fleet.await_share(chance.uniform(0.05, 0.6))
        threading.Event().wait(chance.uniform(0, 0.05))
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not server.running, what="the death of the server")
        fleet.await_share(0.9)  # the broker goes on accepting
        server.start()
    stack.prove(fleet.log)
    assert worker.process.poll() is None, "a lost database must not end the process"


@row("F06")
@pytest.mark.parametrize(
    ("how", "seed"),
    [
        (signal.SIGQUIT, 1),
        *(pytest.param((signal.SIGINT, signal.SIGQUIT)[n % 2], n, marks=pytest.mark.soak) for n in (2, 3, 4)),
    ],
)
def test_a_fast_or_immediate_restart_loses_and_doubles_nothing(own_server, how, seed):
    stack, server = own_server
    chance = random.Random(seed)
    worker = stack.ensure_worker()
    with stack.fleet(stack.accounts(), seed=seed) as fleet:
        fleet.await_share(chance.uniform(0.05, 0.6))
        os.kill(server.pid, how)
        eventually(lambda: not server.running, within_s=30, what="the end of the server")
        server.start()
        stack.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pledgewatch-ingest%%'"
        )
    stack.prove(fleet.log)
    assert worker.process.poll() is None


@row("F08")
@seeded(3)
def test_a_full_database_disk_pauses_the_slot_and_space_ends_the_pause(own_server, tmp_path_factory, seed):
    stack, _ = own_server
    for process in stack.processes:
        process.stop()
    disk = tmp_path_factory.mktemp("small")
    accounts = stack.accounts()
    name = urlsplit(stack.database_url).path.strip("/")
    megabytes = int(stack.ask("SELECT pg_database_size(current_database()) / 1048576")[0][0])
    with (
        small_disk(disk, megabytes + 16),
        psycopg.connect(in_database(stack.database_url, "postgres"), autocommit=True) as admin,
    ):
        admin.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        admin.execute(f"ALTER DATABASE {name} SET TABLESPACE small")
        worker = stack.ensure_worker()
        ballast = Ballast(disk)
        ballast.fill()
        with stack.fleet(accounts, seed=seed, each=400, pause_s=0.001) as fleet:
            eventually(lambda: "No space left" in worker.log_text(), within_s=30, what="a full disk")
        assert stack.ask(
            "SELECT count(*) < %s FROM telemetry WHERE device_id = ANY(%s)", 1_200, list(accounts)
        )
        ballast.free()
        stack.prove(fleet.log)
        assert worker.process.poll() is None
        eventually(lambda: stack.ask("SELECT 1 FROM ingest_slot WHERE retries > 0"), what="the health row")
        worker.stop()
        admin.execute(f"ALTER DATABASE {name} SET TABLESPACE pg_default")
        admin.execute("DROP TABLESPACE small")


@row("F09")
@seeded(3)
def test_a_disk_that_cannot_flush_makes_the_server_panic_and_recover(own_server, seed):
    stack, server = own_server
    flag = stack.folder / "disk-fails"
    if not (stack.folder / "shim.so").exists():
        pytest.skip("no C compiler for the library that makes fdatasync fail")
    stack.ensure_worker()
    with failing_disk(stack.folder):
        server.stop()
        server.start()
        with stack.fleet(stack.accounts(), seed=seed) as fleet:
            fleet.await_share(random.Random(seed).uniform(0.1, 0.5))
            before = server.log.read_text().count("PANIC")
            flag.touch()
            try:
                eventually(
                    lambda: server.log.read_text().count("PANIC") > before, within_s=30, what="a PANIC"
                )
            finally:
                flag.unlink()
            # It restarts itself, unless it met the broken disk once more on the way up.
            eventually(
                lambda: not server.running or answers(stack), within_s=30, what="the server's recovery"
            )
            if not server.running:
                server.start()
    stack.prove(fleet.log)


def begun(stack, accounts) -> bool:
    """Tell whether something of each device is stored: what is missing after it can then be named."""
    found = stack.ask(
        "SELECT count(DISTINCT device_id) FROM telemetry WHERE device_id = ANY(%s)", list(accounts)
    )
    return found == [(len(accounts),)]


def answers(stack) -> bool:
    try:
        return stack.ask("SELECT 1") == [(1,)]
    except psycopg.OperationalError:
        return False


@row("F32")
@seeded(3)
def test_after_a_restore_the_gaps_name_exactly_what_devices_have_to_send_again(own_server, tmp_path, seed):
    """A dump at T under load: what was stored before T is there, the rest is asked for by number."""
    stack, _ = own_server
    tools = find_postgres().bin_dir
    stack.ensure_worker()
    accounts = stack.accounts()
    with stack.fleet(accounts, seed=seed) as fleet:
        fleet.await_share(random.Random(seed).uniform(0.2, 0.5))
        eventually(lambda: begun(stack, accounts), what="stored reports of each device")
        held = set(
            stack.ask("SELECT device_id, seq FROM telemetry WHERE device_id = ANY(%s)", list(accounts))
        )
        subprocess.run([tools / "pg_dump", "-Fc", "-f", tmp_path / "dump", stack.database_url], check=True)
    stack.prove(fleet.log)
    stack.ensure_worker().stop()
    name, admin_url = (
        urlsplit(stack.database_url).path.strip("/"),
        in_database(stack.database_url, "postgres"),
    )
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} RENAME TO lost_{seed}")
        admin.execute(f"CREATE DATABASE {name}")
    subprocess.run(
        [tools / "pg_restore", "--no-owner", "-d", stack.database_url, tmp_path / "dump"], check=True
    )
    stack.ensure_worker()
    with stack.fleet(accounts, each=1, make=lambda device, _: track(device, 120)) as next_one:
        pass
    log = fleet.log + next_one.log
    verdict = stack.judge(log)
    assert not held & verdict.missing, "stored before the dump began, and not restored"
    assert stack.reported_gaps(list(accounts)) == verdict.missing != set()
    missing = {device: sorted(n for d, n in verdict.missing if d == device) for device in accounts}
    again = [sent for sent in fleet.log if (sent.device_id, sent.seq) in verdict.missing]
    payloads = {(sent.device_id, sent.seq): sent for sent in again}
    for device, numbers in missing.items():
        for number in numbers:
            sent = payloads[device, number]
            stack.send(device, sent.payload)
    eventually(lambda: stack.reported_gaps(list(accounts)) == set(), within_s=30, what="the gaps to close")
    assert stack.judge(log).report.lost == 0
