"""Mosquitto where root has no user namespaces: as nobody if that user can reach the folder, else as root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.mqtt_passwords import mosquitto_password_hash
from pledgewatch.embedded import mosquitto
from pledgewatch.embedded.broker import EmbeddedBroker
from pledgewatch.embedded.identity import dropped_identity
from pledgewatch.embedded.probe import ACCEPTED, mqtt_connect_code
from tests.fix_stack import missing

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]


@pytest.fixture(autouse=True)
def _no_namespaces(monkeypatch) -> None:
    if mosquitto.find_mosquitto() is None:
        missing("broker", "mosquitto is not on the PATH")
    monkeypatch.setattr(mosquitto, "choose_identity", dropped_identity)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="pw-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def serves_and_reloads(data_dir: Path) -> int:
    """Start twice, with an account that survives; return the uid that the broker ran as."""
    with EmbeddedBroker(data_dir, kind="mosquitto") as broker:
        broker.reload_credentials([("dev", mosquitto_password_hash("word"))])
        assert mqtt_connect_code("127.0.0.1", broker.port, "dev", "word") == ACCEPTED
    # Stopping saves the sessions, so the second start reads what the first user wrote.
    assert (data_dir / "broker" / "store" / "mosquitto.db").exists()
    with EmbeddedBroker(data_dir, kind="mosquitto") as broker:
        assert mqtt_connect_code("127.0.0.1", broker.port, "dev", "word") == ACCEPTED
        return Path(f"/proc/{broker.pid}").stat().st_uid


def test_in_a_folder_that_nobody_can_enter_it_stays_root(tmp_path: Path):
    assert serves_and_reloads(tmp_path / "data") == 0


def test_in_an_open_folder_it_runs_as_nobody(open_folder: Path):
    assert serves_and_reloads(open_folder) == dropped_identity().uid
