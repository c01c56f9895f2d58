"""`pledgewatch gateway` as a shell sees it, and doctor's line about it."""

import json
import os
import socket
import subprocess
import sys

import pytest

from collateral import provisioning
from core.errors import PledgewatchError
from core.settings import Settings
from ingest.gateways.jt808 import store
from ingest.gateways.jt808.dialects import load_dialects
from ingest.gateways.jt808.enrolment import enrol
from pledgewatch.embedded import checks_gateways


@pytest.fixture
def pledgewatch(database_url, tmp_path):
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PLEDGEWATCH_")},
        "PLEDGEWATCH_DATABASE_URL": database_url,
        "PLEDGEWATCH_DATA_DIR": str(tmp_path / "data"),
        "PLEDGEWATCH_MQTT_URL": "mqtt://ingest:x@127.0.0.1:1",
    }

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "pledgewatch", *arguments],
            capture_output=True, text=True, env=environment, timeout=120, check=False,
        )  # fmt: skip

    return run


def test_a_terminal_is_enrolled_and_listed_from_the_command_line(pledgewatch, db):
    provisioning.add_device(db, "868120303960871")
    db.commit()
    enrolled = pledgewatch("gateway", "enrol", "868120303960871", "--terminal", "013912345678", "--json")
    assert enrolled.returncode == 0, enrolled.stderr
    assert json.loads(enrolled.stdout) == {
        "device_id": "868120303960871", "terminal": "13912345678", "open_registration": True,
    }  # fmt: skip
    [listed] = json.loads(pledgewatch("gateway", "terminals", "--json").stdout)["terminals"]
    assert (listed["terminal"], listed["registered"], listed["open_registration"]) == (
        "13912345678",
        False,
        True,
    )


def test_wrong_use_of_gateway_commands_ends_with_two_and_a_stranger_with_one(pledgewatch):
    assert pledgewatch("gateway", "enrol", "imei-1").returncode == 2
    unknown = pledgewatch("gateway", "enrol", "13900000000")
    assert (unknown.returncode, "device_not_found" in unknown.stderr) == (1, True)
    without_account = pledgewatch("gateway", "jt808")
    assert (without_account.returncode, "GATEWAY_MQTT_URL" in without_account.stderr) == (2, True)


def test_enrolling_again_begins_anew_and_removal_forgets_the_terminal(db):
    dialects = load_dialects()
    provisioning.add_device(db, "d-1")
    assert enrol(db, "d-1", dialects, number="0139001") == "139001"
    assert store.register(db, "139001", code_hash="h", manufacturer="M", terminal_id="T", model="X")
    assert enrol(db, "d-1", dialects, number="139001", code="s3cret", dialect="wireless-g10") == "139001"
    [again] = store.terminals(db)
    assert (again.terminal_id, again.open_registration, again.dialect) == (None, False, "wireless-g10")
    assert not store.register(db, "139001", code_hash="h", manufacturer="M", terminal_id="T", model="X")
    assert (store.remove(db, "139001"), store.remove(db, "139001"), store.terminals(db)) == (True, False, [])


@pytest.mark.parametrize(
    ("device_id", "options", "code"),
    [
        ("d-1", {}, "bad_terminal_number"),
        ("d-1", {"number": "000"}, "bad_terminal_number"),
        ("d-1", {"number": "1" * 21}, "bad_terminal_number"),
        ("d-1", {"number": "1", "dialect": "klingon"}, "unknown_dialect"),
        ("d-1", {"number": "1", "code": ""}, "bad_code"),
        ("d-2", {"number": "1"}, "device_revoked"),
        ("d-3", {"number": "1"}, "device_not_found"),
    ],
)
def test_enrolment_refuses_what_could_not_work(db, device_id, options, code):
    for number in (1, 2):
        provisioning.add_device(db, f"d-{number}")
    provisioning.revoke(db, "d-2")
    with pytest.raises(PledgewatchError) as told:
        enrol(db, device_id, load_dialects(), **options)
    assert told.value.code == code


def test_doctor_says_whether_the_gateway_listens_and_whether_its_account_is_let_in(broker):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        good = Settings(_env_file=None, jt808_port=port, gateway_mqtt_url=broker.embedded.gateway_url)
        [here] = checks_gateways.jt808(good)
    assert (here.verdict, f"127.0.0.1:{port}" in here.found) == ("ok", True)
    wrong = good.model_copy(update={"gateway_mqtt_url": f"mqtt://gateway:wrong@127.0.0.1:{broker.port}"})
    [refused] = checks_gateways.jt808(wrong)
    assert (refused.verdict, "refused" in refused.found) == ("note", True)
    [silent] = checks_gateways.jt808(good)
    assert "not running" in silent.found
