"""Fixtures of the fault matrix: one running stack per file, with cables between its parts that tests can cut.

fault_stack   module    broker, database and `python -m ingest`; devices and worker reach them by cables
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from collateral import provisioning
from core.clock import wall_now
from core.db.pool import connect
from core.telemetry.gaps.reader import catch_up
from ingest.checking.check import CheckReport, check, read_log, wait_for_empty_backlog
from tests.faults.field import Fleet, Sent, rows_of
from tests.faults.tcp_proxy import TcpProxy
from tests.fix_ingest import IngestProcess, IngestRig
from tests.fix_stack import TemplateDatabase, eventually, migrated_database, start_broker

BACKLOG_S = 60.0
LEDGER = ("messages", "received", "inserted", "duplicate", "dup_conflict", "undated", "undated_duplicate",
          "status", "quarantined", "dead")  # fmt: skip
HELD = (
    "SELECT device_id, boot_id, seq FROM telemetry WHERE device_id = ANY(%s)"
    " UNION SELECT device_id, boot_id, seq FROM telemetry_undated WHERE device_id = ANY(%s)"
)


def seeded(soak: int) -> Any:
    """Run a row with one seed always, and with ``soak`` seeds in `make soak`."""
    later = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, soak + 1)]
    return pytest.mark.parametrize("seed", [1, *later])


def row(number: str) -> Any:
    """Name the row of the fault matrix (docs/faults.md) that a test runs."""
    return pytest.mark.fault(number)


def mutant(*names: str) -> list[str]:
    """Return the command of an ingest process with something broken (tests/faults/mutant_worker.py)."""
    return [sys.executable, "-m", "tests.faults.mutant_worker", *names]


def through(url: str, proxy: TcpProxy) -> str:
    """Return the URL with the proxy's address in it."""
    parts = urlsplit(url)
    account = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{account}@127.0.0.1:{proxy.port}"))


def address_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 5432


@dataclass
class Verdict:
    """What the oracle found out about one trial."""

    report: CheckReport
    ledger: dict[str, int]
    """How the ledger grew since the trial began."""
    missing: set[tuple[str, int]]
    """(device, seq) of what was sent and is nowhere."""


@dataclass
class FaultStack(IngestRig):
    """An ingest process whose cables can be cut; devices are made anew for every trial."""

    to_broker: TcpProxy = field(init=False)
    to_database: TcpProxy = field(init=False)
    from_devices: TcpProxy = field(init=False)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _before: dict[str, int] = field(default_factory=dict)
    _incidents_before: int = 0

    def __post_init__(self) -> None:
        self.from_devices = TcpProxy((self.broker.host, self.broker.port))
        self.to_broker = TcpProxy((self.broker.host, self.broker.port))
        self.to_database = TcpProxy(address_of(self.database_url))

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "PLEDGEWATCH_DATABASE_URL": through(self.database_url, self.to_database),
            "PLEDGEWATCH_MQTT_URL": through(self.broker.ingest_url, self.to_broker),
        } | self.settings  # fmt: skip

    # ------------------------------------------------------------------------------------- trials

    def accounts(self, count: int = 3) -> dict[str, str]:
        """Begin a trial: heal the cables, note where the ledger stands, register fresh devices."""
        for cable in (self.to_broker, self.to_database, self.from_devices):
            cable.heal()
        trial = next(self._numbers)
        names = [f"f{trial:03}-{n}" for n in range(count)]
        with connect(self.database_url, name="test") as conn:
            given = {name: provisioning.add_device(conn, name, f"car-{name}").password for name in names}
        for name, password in given.items():
            self.passwords[name] = password
        self.broker.accounts |= hashes(given)
        self.broker.embedded.reload_credentials(self.broker.accounts.items())
        self.rows.clear()
        self.talkers.clear()
        self._before = self.ledger()
        # The same within a minute is not news; trials are not a minute apart.
        self.ask("UPDATE ingest_incident SET at = at - interval '2 minutes' RETURNING 1")
        self._incidents_before = self.ask("SELECT coalesce(max(incident_id), 0) FROM ingest_incident")[0][0]
        return given

    def fleet(self, accounts: dict[str, str], **options: Any) -> Fleet:
        """Return devices that report through the devices' cable."""
        return Fleet(accounts, self.from_devices.port, **{"each": 120} | options)

    def ensure_worker(self) -> IngestProcess:
        """Return the process that was started last, or a new one when it is gone."""
        if not self.processes or self.processes[-1].process.poll() is not None:
            return self.start_and_wait()
        return self.processes[-1]

    def replace_worker(self, command: list[str] | None = None, **settings: str) -> IngestProcess:
        """Stop what runs and start another, usually a broken one."""
        for process in self.processes:
            process.stop()
        return self.start_and_wait(command, **settings)

    def incidents(self) -> list[str]:
        """Return the kinds of incidents since the trial began, in order."""
        found = self.ask(
            "SELECT kind FROM ingest_incident WHERE incident_id > %s ORDER BY incident_id",
            self._incidents_before,
        )
        return [kind for (kind,) in found]

    def facts_of(self, kind: str) -> list[dict[str, Any]]:
        """Return the facts of the incidents of a kind since the trial began."""
        found = self.ask(
            "SELECT facts FROM ingest_incident WHERE incident_id > %s AND kind = %s",
            self._incidents_before,
            kind,
        )
        return [facts for (facts,) in found]

    # ------------------------------------------------------------------------------------- the oracle

    def judge(self, log: list[Sent], *, slots: int = 1) -> Verdict:
        """Wait until the backlog is empty, and compare the devices' log with what is stored."""
        self.rows = rows_of(log)
        with connect(self.database_url, name="check", autocommit=True) as conn:
            wait_for_empty_backlog(conn, slots, BACKLOG_S)
            report = check(conn, read_log(self.write_log()))
        after = self.ledger()
        ledger = {name: after[name] - self._before[name] for name in LEDGER}
        stored = self.held(list({sent.device_id for sent in log}))
        return Verdict(report, ledger, {(sent.device_id, sent.seq) for sent in log} - stored)

    def held(self, devices: list[str]) -> set[tuple[str, int]]:
        """Return (device, seq) of everything stored of devices."""
        return set(self.ask(f"SELECT device_id, seq FROM ({HELD}) held", devices, devices))

    def prove(self, log: list[Sent], *, slots: int = 1) -> Verdict:
        """Judge, and insist: every accepted report stored once with its bytes, and the books in order."""
        verdict = self.judge(log, slots=slots)
        found, ledger = verdict.report, verdict.ledger
        assert (found.lost, found.ghost, found.stored_twice) == (0, 0, 0), found
        assert found.acknowledged == sum(sent.accepted for sent in log)
        # A report that came twice is one row with the bytes that were sent: `stored` compares hashes.
        assert found.stored + found.undated == found.acknowledged, found
        assert found.dup_conflict == 0
        assert ledger["received"] == sum(ledger[name] for name in LEDGER[2:])
        assert ledger["inserted"] + ledger["undated"] == len(log) - len(verdict.missing)
        self.gaps_are(log, verdict.missing)
        return verdict

    def gaps_are(self, log: list[Sent], missing: set[tuple[str, int]]) -> None:
        """Insist that the gap report names what is missing between stored numbers, and nothing else."""
        expected = set()
        for device_id in {sent.device_id for sent in log}:
            held = [s.seq for s in log if s.device_id == device_id and (device_id, s.seq) not in missing]
            if held:
                expected |= {(d, n) for d, n in missing if d == device_id and min(held) < n < max(held)}
        assert self.reported_gaps([sent.device_id for sent in log]) == expected

    def reported_gaps(self, devices: list[str]) -> set[tuple[str, int]]:
        """Return (device, seq) of every number that the gap ledger misses; it must be what the tables lack."""

        def agreed() -> tuple[set[tuple[Any, ...]]] | None:
            # Between the two questions more may be stored, so they agree soon, not always.
            told, lacking = self._told_and_lacking(devices)
            return (told,) if told == lacking else None

        return eventually(agreed, what="a gap ledger that misses what the tables lack")[0]

    def _told_and_lacking(self, devices: list[str]) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
        with connect(self.database_url, name="gaps", autocommit=True) as conn:
            catch_up(conn, wall_now())
        told = self.ask(
            "SELECT device_id, n FROM telemetry_gap, generate_series(from_seq, to_seq) AS n"
            " WHERE closed_at IS NULL AND device_id = ANY(%s)",
            devices,
        )
        lacking = self.ask(
            "SELECT device_id, n FROM (SELECT *, lead(seq) OVER (PARTITION BY device_id, boot_id ORDER BY seq)"
            f" AS following FROM ({HELD}) held) next, generate_series(seq + 1, following - 1) AS n",
            devices,
            devices,
        )
        return set(told), set(lacking)

    def close(self) -> None:
        super().close()
        for cable in (self.to_broker, self.to_database, self.from_devices):
            cable.close()


def hashes(passwords: dict[str, str]) -> dict[str, str]:
    from core.mqtt_passwords import mosquitto_password_hash

    return {name: mosquitto_password_hash(password) for name, password in passwords.items()}


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no VmRSS of {pid}")


def held_up(stack: FaultStack) -> None:
    """Wait until a worker waits for a lock of this database."""
    eventually(
        lambda: stack.ask(
            "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'pledgewatch-ingest-%%'"
            " AND wait_event_type = 'Lock' AND datname = current_database()"
        ),
        what="a worker in the middle of a batch",
    )


def restart_killed(stack: FaultStack, *, forgetting: bool = False) -> None:
    """Kill the broker and start it again, without what it had saved if so told."""
    broker = stack.broker.embedded
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    eventually(lambda: not broker.running, what="the death of the broker")
    if forgetting:
        for saved in Path(broker.folder).rglob("*.db"):
            saved.unlink()
    broker.start()


@pytest.fixture(scope="module")
def fault_stack(
    postgres_server: str, template_db: TemplateDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultStack]:
    folder = tmp_path_factory.mktemp("faults")
    broker = start_broker(folder / "broker")
    with migrated_database(postgres_server, template_db, "fault") as url:
        stack = FaultStack(url, broker, folder)
        yield stack
        stack.close()
    broker.embedded.stop()
