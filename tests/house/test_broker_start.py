"""deploy/broker.sh with a real Mosquitto: waits for accounts, takes new ones without dropping anybody, stops."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.mqtt_passwords import mosquitto_password_hash
from tests.house.sources import ROOT

PATH = os.environ.get("PATH", "") + ":/usr/sbin"
MOSQUITTO = shutil.which("mosquitto", path=PATH)
DEADLINE_S = 20.0
PAUSE_S = 0.05

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def connect(port: int, username: str, password: str) -> tuple[int, socket.socket]:
    """Speak just enough MQTT 3.1.1 to learn the CONNACK code (0: let in, 4 and 5: not)."""
    fields = [b"t-" + username.encode(), username.encode(), password.encode()]
    body = b"\x00\x04MQTT\x04\xc2\x00\x3c" + b"".join(len(f).to_bytes(2, "big") + f for f in fields)
    link = socket.create_connection(("127.0.0.1", port), timeout=5)
    link.sendall(b"\x10" + bytes([len(body)]) + body)
    return link.recv(4)[3], link


def eventually(check, what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            if check():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S} s"
        time.sleep(PAUSE_S)


def admitted(port: int, username: str, password: str) -> bool:
    code, link = connect(port, username, password)
    link.close()
    return code == 0


class Broker:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.accounts = folder / "accounts"
        secrets = folder / "secrets"
        config = folder / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {secrets / 'passwords'}\n{user}"
        )
        self.process = subprocess.Popen(
            ["sh", str(ROOT / "deploy" / "broker.sh")],
            env={
                "PATH": PATH,
                "BROKER_ACCOUNTS": str(self.accounts),
                "BROKER_SECRETS": str(secrets),
                "BROKER_CONFIG": str(config),
                "BROKER_PROGRAM": str(MOSQUITTO),
                "BROKER_POLL_S": "0.1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def write_accounts(self, **passwords: str) -> None:
        lines = [f"{name}:{mosquitto_password_hash(password)}\n" for name, password in passwords.items()]
        fresh = self.accounts.with_suffix(".new")
        fresh.write_text("".join(lines))
        fresh.replace(self.accounts)

    def listens(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True


@pytest.fixture
def broker(tmp_path) -> Iterator[Broker]:
    started = Broker(tmp_path)
    yield started
    if started.process.poll() is None:
        os.killpg(started.process.pid, signal.SIGTERM)
        started.process.wait(timeout=DEADLINE_S)
    assert started.process.stdout is not None
    started.process.stdout.close()


def test_the_broker_waits_until_somebody_may_come_in(broker):
    assert broker.process.stdout is not None
    assert "waiting for" in broker.process.stdout.readline()
    with pytest.raises(OSError, match="refused"):
        broker.listens()
    broker.write_accounts(ingest="first")
    eventually(lambda: admitted(broker.port, "ingest", "first"), "the first account is let in")
    assert not admitted(broker.port, "ingest", "guess")


def test_a_new_account_works_without_dropping_those_connected(broker):
    broker.write_accounts(ingest="first", revoked="old")
    eventually(broker.listens, "the broker listens")
    code, staying = connect(broker.port, "ingest", "first")
    assert code == 0
    broker.write_accounts(ingest="first", device="new")
    eventually(lambda: admitted(broker.port, "device", "new"), "the new device is let in")
    assert not admitted(broker.port, "revoked", "old")
    staying.sendall(b"\xc0\x00")
    assert staying.recv(2) == b"\xd0\x00", "the old connection still answers a ping"
    staying.close()


def test_a_request_to_stop_ends_script_and_broker(broker):
    broker.write_accounts(ingest="first")
    eventually(broker.listens, "the broker listens")
    broker.process.terminate()
    assert broker.process.wait(timeout=DEADLINE_S) == 0
    with pytest.raises(OSError, match="refused"):
        broker.listens()
