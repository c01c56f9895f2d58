"""A synchronous standby takes over from a killed primary: what was acknowledged is on it."""

import os
import signal
import subprocess

import psycopg
import pytest

from core.db.migrate import migrate
from pledgewatch.embedded.identity import choose_identity
from pledgewatch.embedded.pgbinaries import find_postgres
from pledgewatch.embedded.ports import any_free
from pledgewatch.embedded.postgres import EmbeddedPostgres
from pledgewatch.embedded.processes import spawn
from tests.fix_faults import FaultStack, row, through
from tests.fix_stack import eventually, start_broker

pytestmark = pytest.mark.broker


@row("F06")
@pytest.mark.soak
def test_a_promoted_synchronous_standby_has_everything_that_was_acknowledged(tmp_path):
    tools = find_postgres().bin_dir
    server = EmbeddedPostgres(tmp_path / "pg")
    server.start()
    migrate(server.dsn)
    copy, port = tmp_path / "standby", any_free()
    subprocess.run(
        [tools / "pg_basebackup", "-d", server.dsn, "-D", copy, "-R", "-X", "stream", "--checkpoint=fast"],
        check=True,
    )
    standby = spawn(
        "standby",
        [str(tools / "postgres"), "-D", str(copy), "-c", f"port={port}", "-c", "unix_socket_directories="],
        log=tmp_path / "standby.log",
        identity=choose_identity(),
        cwd=copy,
        stop_signal=signal.SIGINT,
    )
    broker = start_broker(tmp_path / "broker")
    stack = FaultStack(server.dsn, broker, tmp_path)
    try:
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            admin.execute("SELECT pg_reload_conf()")
            eventually(
                lambda: admin.execute(
                    "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
                ).fetchall(),
                within_s=60,
                what="a synchronous standby",
            )
        stack.ensure_worker()
        accounts = stack.accounts()
        with stack.fleet(accounts) as fleet:
            fleet.await_share(0.4)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            eventually(lambda: not server.running, what="the death of the primary")
            stack.to_database.target = ("127.0.0.1", port)
            stack.database_url = through(server.dsn, stack.to_database)
            subprocess.run([tools / "psql", "-c", "SELECT pg_promote()", stack.database_url], check=True)
        stack.prove(fleet.log)
    finally:
        stack.close()
        broker.embedded.stop()
        standby.stop()
        server.stop()
