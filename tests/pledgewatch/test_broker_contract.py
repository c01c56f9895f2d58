"""Eight probes of what a broker does with QoS 1, by bare packets: what ingest's promise stands on.

Mosquitto runs twice: as it comes, to show the limits that lose messages, and with our configuration, to
show that they are gone. aedes is asked the same, and `pledgewatch doctor` has to say where it differs.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.clock import monotonic
from pledgewatch.embedded import mosquitto
from pledgewatch.embedded.checks_servers import AEDES_DIFFERENCES
from pledgewatch.embedded.ports import any_free
from tests.fix_stack import BrokerUnderTest, eventually, missing
from tests.mqtt5 import NO_MATCHING_SUBSCRIBERS, Wire
from tests.pledgewatch.test_broker import started

pytestmark = pytest.mark.broker

WEEK_S = 7 * 86_400
TOPIC = "pw/v1/01/{}/telemetry"


@dataclass
class Subject:
    """A broker, whoever started it."""

    port: int
    version: int = 5
    username: str | None = None
    password: str | None = None
    broker: BrokerUnderTest | None = None

    def session(self, name: str, *filters: str, clean: bool = False, receive_maximum: int = 0) -> Wire:
        """Connect a slot that keeps its session, and subscribe."""
        wire = Wire("127.0.0.1", self.port, version=self.version)
        expiry_s = 0 if clean or self.version < 5 else WEEK_S
        code = wire.connect(
            name,
            self.username,
            self.password,
            clean=clean,
            expiry_s=expiry_s,
            receive_maximum=receive_maximum,
        )
        assert code == 0
        if filters:
            assert set(wire.subscribe(*filters)) == {1}
        return wire

    def publish(self, name: str, count: int, first: int = 0) -> list[int]:
        """Publish numbered messages as the device of that name, and return their acknowledgements in order."""
        account = (name, self.broker.add_user(name)) if self.broker else ()
        with Wire("127.0.0.1", self.port, version=self.version) as wire:
            assert wire.connect(name, *account) == 0
            mids = [wire.publish(TOPIC.format(name), str(first + n).encode()) for n in range(count)]
            reasons = wire.settle(mids)
        return [reasons[mid] for mid in mids]


def numbers(wire: Wire) -> list[int]:
    return [int(message.payload) for message in wire.heard]


class BareMosquitto:
    """Mosquitto with nothing set but its port and a folder."""

    def __init__(self, folder: Path) -> None:
        self.subject = Subject(any_free())
        folder.mkdir()
        user = "user root\n" if os.geteuid() == 0 else ""
        self._conf = folder / "bare.conf"
        self._conf.write_text(
            f"listener {self.subject.port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {folder}/\n{user}"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = mosquitto.find_mosquitto()
        assert program is not None
        self._process = subprocess.Popen(
            [program, "-c", self._conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(self._listens, what="mosquitto's port")

    def _listens(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.subject.port)) == 0

    def end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=20)


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Iterator[BareMosquitto]:
    if mosquitto.find_mosquitto() is None:
        missing("broker", "mosquitto is not on the PATH")
    broker = BareMosquitto(tmp_path_factory.mktemp("bare") / "broker")
    broker.start()
    yield broker
    broker.end(signal.SIGTERM)


def subject_of(running: BrokerUnderTest, version: int) -> Subject:
    return Subject(running.port, version, "ingest", running.ingest_password, running)


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Iterator[BrokerUnderTest]:
    running = started("mosquitto", tmp_path_factory.mktemp("ours"))
    yield running
    running.embedded.stop()


@pytest.fixture(scope="module")
def aedes(tmp_path_factory) -> Iterator[BrokerUnderTest]:
    running = started("aedes", tmp_path_factory.mktemp("aedes"))
    yield running
    running.embedded.stop()


def test_probe_1_a_message_for_nobody_is_acknowledged_with_0x10(bare, ours):
    for subject in (bare.subject, subject_of(ours, 5)):
        assert subject.publish("nobody", 1) == [NO_MATCHING_SUBSCRIBERS]


def test_probe_2_and_3_the_default_window_is_twenty_and_the_clients_receive_maximum_wins(bare, ours):
    for subject, window in ((bare.subject, 20), (subject_of(ours, 5), 200)):
        with subject.session("slot-window", TOPIC.format("window")) as slot:
            assert subject.publish("window", 200) == [0] * 200
            assert len(slot.listen(1.0, until=window + 1)) == window
        with subject.session("slot-window", receive_maximum=5_000) as again:
            assert again.session_present
            again.listen(5.0, until=200)
            assert numbers(again) == list(range(200))
            assert [message.redelivered for message in again.heard[:20]] == [True] * 20
            again.acknowledge(*(message.mid for message in again.heard))
            again.leave()


def test_probe_4_beyond_the_queue_limit_a_success_is_a_loss_and_our_limit_is_far_away(bare, ours):
    for subject, kept in ((bare.subject, 1_000), (subject_of(ours, 5), 1_500)):
        subject.session("slot-offline", TOPIC.format("offline"), receive_maximum=5_000).leave()
        assert subject.publish("offline", 1_500) == [0] * 1_500
        with subject.session("slot-offline", receive_maximum=5_000) as slot:
            slot.listen(3.0 if kept == 1_500 else 1.0, until=min(kept + 1, 1_500))
            assert numbers(slot) == list(range(kept))
            slot.acknowledge(*(message.mid for message in slot.heard))
            slot.leave()


def test_probe_5_a_killed_broker_forgets_what_it_acknowledged_and_the_session_itself(bare):
    subject = bare.subject
    subject.session("slot-killed", TOPIC.format("killed")).leave()
    assert subject.publish("killed", 300) == [0] * 300
    bare.end(signal.SIGKILL)
    bare.start()
    with subject.session("slot-killed") as slot:
        assert not slot.session_present
        assert slot.listen(0.5) == []


def test_probe_5_after_a_snapshot_our_mosquitto_keeps_it(ours):
    subject = subject_of(ours, 5)
    subject.session("slot-saved", TOPIC.format("saved"), receive_maximum=1_000).leave()
    assert subject.publish("saved", 300) == [0] * 300
    store = next(Path(ours.embedded.folder).glob("store"))
    asked_ns = max((path.stat().st_mtime_ns for path in store.iterdir()), default=0)
    assert ours.embedded.pid is not None
    os.kill(ours.embedded.pid, signal.SIGUSR1)  # "save now"; it does so by itself every 15 s
    eventually(
        lambda: max((p.stat().st_mtime_ns for p in store.glob("*.db")), default=0) > asked_ns,
        what="the snapshot",
    )
    os.kill(ours.embedded.pid, signal.SIGKILL)
    eventually(lambda: not ours.embedded.running, what="the death of the broker")
    ours.embedded.start()
    with subject.session("slot-saved", receive_maximum=1_000) as slot:
        assert slot.session_present
        slot.listen(5.0, until=300)
        assert numbers(slot) == list(range(300))


def test_probe_6_a_shared_subscription_destroys_the_order_of_one_device(bare):
    subject = bare.subject
    shared = "$share/group/" + TOPIC.format("shared")
    with subject.session("member-1", shared) as one, subject.session("member-2", shared) as two:
        assert subject.publish("shared", 10) == [0] * 10
        one.listen(2.0, until=5)
        two.listen(2.0, until=5)
        assert sorted([numbers(one), numbers(two)]) == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


def test_probe_7_a_dead_member_of_a_shared_subscription_keeps_its_half(bare):
    subject = bare.subject
    shared = "$share/parked/" + TOPIC.format("parked")
    subject.session("parked-1", shared).leave()
    with subject.session("parked-2", shared) as alive:
        assert subject.publish("parked", 10) == [0] * 10
        assert len(alive.listen(1.0, until=6)) == 5
    with subject.session("parked-1") as back:
        assert len(back.listen(2.0, until=5)) == 5


def test_probe_8_a_second_connection_with_the_client_id_closes_the_first_at_once(bare, ours):
    for subject in (bare.subject, subject_of(ours, 5)):
        with subject.session("slot-fenced") as first:
            began_s = monotonic()
            with subject.session("slot-fenced"):
                assert first.ended(within_s=2.0)
            assert monotonic() - began_s < 2.0


def told(difference: str) -> None:
    assert difference in AEDES_DIFFERENCES, "doctor does not say so"


def test_aedes_refuses_mqtt_5_so_nobody_hears_of_a_message_for_nobody(aedes):
    with Wire("127.0.0.1", aedes.port) as five:
        assert five.connect("five", "ingest", aedes.ingest_password) != 0
    assert subject_of(aedes, 4).publish("nobody", 1) == [0]
    told("MQTT 3.1.1 only")
    told("a message for nobody is acknowledged like any other")


def test_aedes_delivers_without_a_window_and_queues_without_a_limit(aedes):
    subject = subject_of(aedes, 4)
    with subject.session("slot-window", TOPIC.format("window")) as slot:
        assert subject.publish("window", 200) == [0] * 200
        assert len(slot.listen(3.0, until=200)) == 200
    with subject.session("slot-window") as again:
        assert again.session_present
        again.listen(3.0, until=200)
        assert numbers(again) == list(range(200))
    told("no window and no queue limit")
    subject.session("slot-offline", TOPIC.format("offline")).leave()
    assert subject.publish("offline", 1_500) == [0] * 1_500
    with subject.session("slot-offline") as slot:
        slot.listen(5.0, until=1_500)
        assert numbers(slot) == list(range(1_500))


def test_aedes_closes_the_first_connection_of_a_client_id_too(aedes):
    subject = subject_of(aedes, 4)
    with subject.session("slot-fenced") as first, subject.session("slot-fenced"):
        assert first.ended(within_s=3.0)


def test_aedes_knows_no_shared_subscriptions(aedes):
    subject = subject_of(aedes, 4)
    with subject.session("member-1") as one:
        granted = one.subscribe("$share/group/" + TOPIC.format("shared"))
        subject.publish("shared", 4)
        assert granted == [128] or one.listen(0.5) == []
    told("no shared subscriptions")


def test_aedes_forgets_everything_when_it_restarts_in_good_order_too(aedes):
    subject = subject_of(aedes, 4)
    subject.session("slot-gone", TOPIC.format("gone")).leave()
    assert subject.publish("gone", 30) == [0] * 30
    aedes.embedded.stop()
    aedes.embedded.start()
    with subject.session("slot-gone") as slot:
        assert not slot.session_present
        assert slot.listen(0.5) == []
    told("memory only")
