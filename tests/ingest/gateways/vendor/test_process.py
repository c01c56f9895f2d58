"""`python -m ingest.gateways.vendor` as its own process: it pulls, it receives, it stops when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from core.clock import to_ms, wall_now
from core.db.pool import connect
from pledgewatch.embedded.ports import any_free
from tests.fix_stack import BrokerUnderTest, eventually
from tests.ingest.gateways.vendor.test_pull_and_push import SECRET, declared, page, signature
from tests.mqtt_talk import Talker
from tests.valuation.feed import Answer, serving

ROOT = Path(__file__).resolve().parents[4]
PROGRAM = [sys.executable, "-m", "ingest.gateways.vendor"]


def test_the_process_pulls_and_receives_until_it_is_told_to_stop(
    database_url: str, fresh_broker: BrokerUnderTest, tmp_path: Path
):
    port = any_free()
    with (
        serving() as feed,
        Talker(
            fresh_broker.host, fresh_broker.port, "slot", "ingest", fresh_broker.ingest_password
        ).connected() as slot,
        (tmp_path / "vendor.log").open("wb") as log,
    ):
        slot.subscribe("pw/v1/+/+/telemetry")
        declared(tmp_path, feed.url)
        feed.on("/positions?fleet=1&since=0", page(1, 2))
        feed.on("/positions?fleet=1&since=2", Answer(body=b'{"list": []}'))
        environment = os.environ | {
            "PLEDGEWATCH_DATABASE_URL": database_url,
            "PLEDGEWATCH_GATEWAY_MQTT_URL": fresh_broker.embedded.gateway_url,
            "PLEDGEWATCH_VENDOR_SOURCES": str(tmp_path / "acme.toml"),
            "PLEDGEWATCH_VENDOR_PORT": str(port),
            "ACME_SECRET": SECRET,
            "ACME_TOKEN": "a token",
        }
        process = subprocess.Popen(PROGRAM, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            eventually(lambda: len(slot.heard) == 2, within_s=60, what="what was pulled, a message a device")
            body, now = page(7).body, str(to_ms(wall_now()) // 1000)
            answer = httpx.post(
                f"http://127.0.0.1:{port}/hooks/acme", content=body, headers=signature(body, now), timeout=20
            )
            assert answer.json() == {"accepted": 1}
            eventually(lambda: len(slot.heard) == 3, what="what was pushed")
            with connect(database_url, name="test") as conn:
                assert conn.execute("SELECT cursor, items FROM vendor_source").fetchone() == ("2", 3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) in {0, -signal.SIGTERM}
        finally:
            process.kill()
            process.wait(timeout=20)


def test_a_missing_source_is_named_and_nothing_starts(database_url: str, tmp_path: Path):
    environment = os.environ | {
        "PLEDGEWATCH_DATABASE_URL": database_url,
        "PLEDGEWATCH_GATEWAY_MQTT_URL": "mqtt://gateway:x@127.0.0.1:1",
        "PLEDGEWATCH_VENDOR_SOURCES": str(tmp_path / "absent.toml"),
    }
    done = subprocess.run(
        PROGRAM, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "absent.toml" in done.stderr
