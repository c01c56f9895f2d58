"""The process around the gateway: what stops it, and what it says then."""

import asyncio
import os
import subprocess
import sys
import threading

from ingest.gateways.jt808.gateway import stop_on_thread_failure
from tests.fix_gateway import ROOT
from tests.fix_stack import in_a_loop_of_its_own


def run(**settings):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PLEDGEWATCH_")}
    return subprocess.run(
        [sys.executable, "-m", "ingest.gateways.jt808"],
        cwd=ROOT, env=clean | settings, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_missing_or_wrong_broker_url_stops_the_start_and_is_named():
    missing = run(PLEDGEWATCH_DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert (missing.returncode, "PLEDGEWATCH_GATEWAY_MQTT_URL" in missing.stderr) == (2, True)
    wrong = run(
        PLEDGEWATCH_DATABASE_URL="postgresql://127.0.0.1:1/x", PLEDGEWATCH_GATEWAY_MQTT_URL="http://a"
    )
    assert (wrong.returncode, "bad_mqtt_url" in wrong.stderr) == (2, True)


def test_a_thread_that_dies_ends_the_process_instead_of_letting_terminals_wait(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # put back afterwards

    async def work():
        stop = asyncio.Event()
        failures = stop_on_thread_failure(stop)
        thread = threading.Thread(target=lambda: 1 // 0, name="broker")
        thread.start()
        await asyncio.wait_for(stop.wait(), 10)
        return failures

    [failure] = in_a_loop_of_its_own(work())
    assert failure.startswith("thread broker: ZeroDivisionError")
