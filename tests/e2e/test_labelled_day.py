"""Every labelled incident of a simulated day raises its alert, hardly anything else does, whatever we break."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from core.clock import monotonic
from ingest.slots.lease import client_id
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.labelled_day import Verdict, judge, scaled_clock, simulate_arguments
from tests.fix_stack import eventually
from tests.mqtt_talk import Talker

pytestmark = [pytest.mark.slow, pytest.mark.db, pytest.mark.broker]

MOST_UNLABELLED = 3
TROUBLE_EVERY_S = 22.0


def wait_s(seconds: float) -> None:
    until = monotonic() + seconds
    eventually(lambda: monotonic() > until, within_s=seconds + 5)


def cut_the_connection_of_ingest(stack: Deployment) -> None:
    """Connect under its name: the broker closes the older connection, as after a half-open network."""
    address = urlsplit(stack.mqtt_url)
    assert address.hostname
    assert address.port
    with Talker(
        address.hostname, address.port, client_id(0), "ingest", address.password, clean=False, manual_ack=True
    ) as stranger:
        eventually(lambda: stranger.disconnects or stranger.connect_code is not None, what="the take-over")


def assert_as_labelled(stack: Deployment, folder: Path) -> Verdict:
    check = stack.run_json("ingest", "check", "--acklog", str(folder / "acks.csv"), "--wait", "60")
    verdict = judge(stack, folder / "labels.csv")
    print(verdict.table())
    print(
        f"stored {check['stored']}, duplicate {check['duplicate']}, unlabelled {sorted(verdict.unlabelled)}"
    )
    assert verdict.missed == set()
    assert len(verdict.unlabelled) <= MOST_UNLABELLED
    assert "DEVICE_OFFLINE" not in {rule for _, rule, _ in verdict.unlabelled}
    assert (check["lost"], check["ghost"], check["stored_twice"]) == (0, 0, 0)
    assert stack.query("SELECT count(*) FROM ingest_ledger")[0][0] > 0
    return verdict


def test_a_day_through_kill_9_of_ingest_of_the_database_and_of_a_connection_raises_the_labelled_alerts(
    tmp_path: Path,
) -> None:
    with deployed(tmp_path / "data", TELEMETRY_CLOCK=scaled_clock()) as stack:
        day = stack.begin(*simulate_arguments(tmp_path))
        wait_s(TROUBLE_EVERY_S)
        stack.kill("-m", "ingest")
        wait_s(TROUBLE_EVERY_S)
        if stack.on_given_server:
            stack.end_every_connection()
        else:
            stack.kill("bin/postgres", "-D")
        wait_s(TROUBLE_EVERY_S)
        cut_the_connection_of_ingest(stack)
        assert day.wait(200) == 0, stack.log("test-simulate")[-3000:]
        assert_as_labelled(stack, tmp_path)
        troubles = (tmp_path / "data" / "up.log").read_text(encoding="utf-8")
    assert "ingest ended" in troubles
    assert stack.on_given_server or "PostgreSQL stopped running" in troubles


@pytest.mark.soak
def test_a_day_without_trouble_raises_the_labelled_alerts(tmp_path: Path) -> None:
    with deployed(tmp_path / "data", TELEMETRY_CLOCK=scaled_clock()) as stack:
        stack.run(*simulate_arguments(tmp_path), timeout_s=280)
        assert_as_labelled(stack, tmp_path)
