"""A command on its whole way: queue, broker, device, broker, ingest; by real MQTT and the real process."""

import random
import select
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from collateral.commands import queue
from collateral.commands.domain import Kind
from collateral.domain import Purpose, Role
from core import topics
from core.db.pool import connect
from ingest.commands.sender import turn
from ingest.link import Link
from simulator.domain import Credential
from simulator.publish.broker import BrokerAddress
from simulator.publish.link import Link as Device
from tests.fix_ingest import IngestRig, position
from tests.fix_stack import eventually


def ask(rig: IngestRig, device_id: str, kind: Kind = Kind.LOCATE, **changes):
    with connect(rig.database_url, name="desk") as conn:
        return queue.ask(
            conn, device_id, kind, changes.pop("params", {}), purpose=Purpose.TEST,
            roles=frozenset({Role.ADMIN}), actor="user:1", **changes,
        )  # fmt: skip


def state(rig: IngestRig, command) -> str:
    return rig.ask("SELECT state FROM device_command WHERE command_id = %s", command.command_id)[0][0]


def await_state(rig: IngestRig, command, wanted: str) -> None:
    eventually(lambda: state(rig, command) == wanted, within_s=60, what=f"{command.kind} {wanted}")


class Driven:
    """A device of the simulator, driven by a thread as the publisher drives thousands."""

    def __init__(self, rig: IngestRig, device_id: str) -> None:
        shard = topics.default_shard(device_id)
        self.link = Device(
            BrokerAddress("127.0.0.1", rig.broker.device_port), MQTTProtocolVersion.MQTTv5,
            Credential(device_id, shard, device_id, rig.passwords[device_id]), {device_id: shard},
            random.Random(1), lambda *_: None, lambda _: None,
        )  # fmt: skip
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.link.connect(0.0)
        while not self._over.is_set() and self.link.sock is not None:
            writing = [self.link.sock] if self.link.wants_write else []
            readable, writable, _ = select.select([self.link.sock], writing, [], 0.05)
            if readable:
                self.link.read()
            if writable and self.link.sock is not None:
                self.link.write()
        self.link.close()

    def close(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def device(ingest_rig: IngestRig) -> Iterator[Callable[[str], Driven]]:
    running: list[Driven] = []

    def start(device_id: str) -> Driven:
        running.append(Driven(ingest_rig, device_id))
        return running[-1]

    yield start
    for one in running:
        one.close()


def test_commands_reach_a_device_when_it_is_there_and_its_answers_come_back(ingest_rig, device):
    rig = ingest_rig
    rig.register("dev-1", "dev-2", "deaf")
    rig.start_and_wait()
    waiting = ask(rig, "dev-1")
    tracking = {"interval_s": 10, "duration_s": 600}
    late = ask(rig, "dev-2", expires_in=timedelta(seconds=30))
    # Not there yet: nothing is sent, and nothing pretends to be.
    deaf = ask(rig, "deaf")
    rig.report("deaf", position("deaf", 1))
    eventually(
        lambda: rig.ask("SELECT 1 FROM device_command WHERE device_id = 'deaf' AND tries > 0"),
        within_s=60, what="a try at a device that talks and does not listen",
    )  # fmt: skip
    assert [state(rig, one) for one in (waiting, late, deaf)] == ["queued"] * 3
    first = device("dev-1")  # it says that it is there, and what waited is sent
    await_state(rig, waiting, "done")
    online = [ask(rig, "dev-1", Kind.TRACK, params=tracking), ask(rig, "dev-1", Kind.REBOOT)]
    for command in online:
        await_state(rig, command, "done")
    assert first.link.obedience.done == ["locate", "track", "reboot"]
    rig.ask("UPDATE device_command SET requested_at = now() - interval '2 minutes', expires_at ="
            " now() - interval '1 minute' WHERE command_id = %s RETURNING 1", late.command_id)  # fmt: skip
    await_state(rig, late, "expired")
    second = device("dev-2")
    after = ask(rig, "dev-2")
    await_state(rig, after, "done")
    assert second.link.obedience.done == ["locate"]
    times = rig.ask(
        "SELECT requested_at <= sent_at AND sent_at <= received_at AND received_at <= ended_at"
        " FROM device_command WHERE state = 'done'"
    )
    assert times == [(True,)] * 4
    assert rig.ask("SELECT count(*) FROM quarantine") == [(0,)]


def test_a_device_that_wakes_hears_again_what_it_did_not_answer(ingest_rig):
    rig = ingest_rig
    rig.register("dev-w")
    shard = topics.default_shard("dev-w")
    command = ask(rig, "dev-w")
    with connect(rig.database_url, name="sender", autocommit=True) as conn:
        link = Link(rig.broker.ingest_url, "test-sender")

        def heard(minutes: int) -> None:
            conn.execute(
                "INSERT INTO device_status (device_id, last_received) VALUES ('dev-w', now() + make_interval("
                "mins => %s)) ON CONFLICT (device_id) DO UPDATE SET last_received = EXCLUDED.last_received",
                (minutes,),
            )
            conn.execute("UPDATE device_command SET tried_at = tried_at - interval '1 hour'")

        assert turn(conn, link) == 0  # never heard: asleep
        heard(1)
        assert turn(conn, link) == 0  # heard, but nobody is subscribed: still queued
        assert conn.execute("SELECT state, tries FROM device_command").fetchone() == ("queued", 1)
        talker = rig.talker("dev-w")
        talker.subscribe(topics.build(shard, "dev-w", "cmd"))
        heard(2)
        assert turn(conn, link) == 1
        assert turn(conn, link) == 0  # not heard since: not sent again
        heard(3)
        assert turn(conn, link) == 1
        eventually(lambda: len(talker.heard) == 2, what="the command twice")
        assert str(command.command_id).encode() in talker.heard[0][1]
        assert talker.heard[0] == talker.heard[1]
        assert state(rig, command) == "sent"
        link.close()
