"""The Austin file through Mosquitto at full speed: nothing lost, nothing invented, repeats counted."""

import csv
import gzip
import json
import os
import subprocess
import sys

import psutil
import pytest

from collateral import provisioning
from collateral.fleet import FleetDevice, FleetVehicle
from core.clock import monotonic
from core.db.pool import connect
from simulator.domain import Credential
from simulator.publish.acklog import AckLog
from simulator.publish.broker import BrokerAddress
from simulator.publish.pace import Unpaced
from simulator.publish.publisher import Publisher
from simulator.replay import Replay
from tests.fix_ingest import ROOT

AUSTIN = ROOT.parent / "shared" / "data" / "tracks" / "austin_bus.csv.gz"


def the_file():
    if not AUSTIN.exists():
        pytest.skip("needs the recorded tracks beside the repository")
    with gzip.open(AUSTIN, "rt", newline="") as handle:
        return [(row["vehicle_id"], row["ts"]) for row in csv.DictReader(handle)]


def register(rig, vehicle_ids):
    with connect(rig.database_url, name="test") as conn:
        given = provisioning.provision_fleet(
            conn, [FleetVehicle(vehicle_id, devices=(FleetDevice(vehicle_id),)) for vehicle_id in vehicle_ids]
        )
        accounts = provisioning.broker_accounts(conn)
    rig.broker.embedded.reload_credentials(accounts)
    return [Credential(one.device_id, one.shard, one.username, one.password) for one in given]


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_austin_file_at_full_speed_is_stored_once_and_completely(ingest_rig, record_property):
    rig = ingest_rig
    rows = the_file()
    credentials = register(rig, sorted({vehicle_id for vehicle_id, _ in rows}))
    rig.settings["PLEDGEWATCH_TELEMETRY_CLOCK"] = "data"
    worker = rig.start_and_wait()
    process = psutil.Process(worker.process.pid)
    log = rig.folder / "acklog.csv"
    began_s, cpu_before = monotonic(), sum(process.cpu_times()[:2])
    tally = Publisher(BrokerAddress.parse(rig.broker.url), credentials, AckLog(log)).run(
        Replay(AUSTIN).reports(), Unpaced()
    )
    checked = subprocess.run(
        [sys.executable, "-m", "pledgewatch", "ingest", "check", "--acklog", log, "--wait", "300", "--json"],
        cwd=ROOT, env=os.environ | rig.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds, cpu_s = monotonic() - began_s, sum(process.cpu_times()[:2]) - cpu_before
    assert checked.returncode == 0, checked.stderr
    found = json.loads(checked.stdout.splitlines()[-1])
    assert (found["lost"], found["ghost"], found["stored_twice"]) == (0, 0, 0)
    assert found["acknowledged"] == tally.acknowledged == len(rows)
    aside = found["undated"] + found["quarantined"] + found["dead_letter"]
    assert found["stored"] == len(set(rows)) - aside
    assert found["duplicate"] + found["dup_conflict"] == len(rows) - len(set(rows))
    ledger = rig.ledger()
    assert ledger["inserted"] == found["stored"] == rig.ask("SELECT count(*) FROM telemetry")[0][0]
    print(
        f"\n{len(rows)} reports in {ledger['messages']} messages, {seconds:.1f} s with the comparison; "
        f"ingest process {cpu_s / len(rows) * 1e6:.1f} us a report; set aside: {found['reasons']}"
    )
