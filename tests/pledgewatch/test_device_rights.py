"""Who may do what at the broker, tried with every role on a real Mosquitto with the shipped ACL."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from collateral import provisioning
from core.db.pool import Connection, connect
from core.events.dispatch import dispatch_once
from core.events.store import emit
from core.settings import Settings
from pledgewatch.embedded import node
from pledgewatch.embedded.broker import EmbeddedBroker
from pledgewatch.embedded.doctor import examine
from pledgewatch.embedded.mosquitto import find_mosquitto
from pledgewatch.embedded.probe import ACCEPTED, end_session, mqtt_connect_code
from pledgewatch.embedded.stack import StackHandle, running_mqtt_url
from pledgewatch.wiring import consumers
from tests.fix_stack import BrokerUnderTest, eventually, missing, start_broker
from tests.mqtt_talk import Talker

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("telemetry", "event", "status", "cmdack", "cmd")
OWN = {kind: f"pw/v1/0a/dev-a/{kind}" for kind in KINDS}
OTHER = {kind: f"pw/v1/0b/dev-b/{kind}" for kind in KINDS}
ODD = (
    "pw/v1/0a/dev-a/telemetry/more", "pw/v1/0a/dev-a", "pw/v2/0a/dev-a/telemetry", "pw/v1/dev-a/telemetry",
    "pw/v1/0a/ingest/cmd/more", "elsewhere",
)  # fmt: skip
INNER = "pw/internal/probe/0"
DOLLAR = ("$SYS/broker/uptime", "$CONTROL/dynamic-security/v1", "$share/thieves/pw/v1/0b/dev-b/cmd")
UP = ("telemetry", "event", "status", "cmdack")
TOPICS = (*OWN.values(), *OTHER.values(), *ODD, INNER, *DOLLAR)
MAY_PUBLISH = {
    "dev-a": {OWN[kind] for kind in UP},
    "ingest": {OWN["cmd"], OTHER["cmd"], INNER},
    "gateway": {topics[kind] for topics in (OWN, OTHER) for kind in UP},
}
MAY_HEAR = {
    "dev-a": {OWN["cmd"]},
    "ingest": {*OWN.values(), *OTHER.values(), INNER},
    "gateway": {OWN["cmd"], OTHER["cmd"]},
}
FILTERS = (
    "#", "+/#", "pw/#", "pw/v1/#", "pw/v1/+/+/cmd", "pw/v1/+/dev-b/#", OTHER["cmd"], OTHER["telemetry"],
    "pw/internal/#", INNER, "$SYS/#", "$SYS/broker/uptime", "$CONTROL/#", "$share/thieves/#",
    "$share/thieves/pw/v1/+/+/cmd", "$share/ingest/pw/v1/+/dev-b/telemetry", OWN["cmd"],
)  # fmt: skip


@pytest.fixture(scope="module")
def rights(tmp_path_factory) -> Iterator[BrokerUnderTest]:
    started = start_broker(tmp_path_factory.mktemp("rights"))
    started.add_users(["dev-a", "dev-b"], "a password")
    yield started
    started.embedded.stop()


def account(broker: BrokerUnderTest, role: str) -> tuple[str, str, int]:
    """User name, password and port of a role."""
    if role in {"ingest", "gateway"}:
        url = broker.ingest_url if role == "ingest" else broker.embedded.gateway_url
        return role, url.split(":")[2].split("@")[0], broker.embedded.inner_port
    return role, "a password", broker.device_port


def talker(broker: BrokerUnderTest, role: str, client_id: str | None = None, **options: Any) -> Talker:
    username, password, port = account(broker, role)
    return Talker(broker.host, port, client_id or role, username, password, **options).connected()


class Five:
    """An MQTT 5 connection, to which the broker says why it refused a message."""

    def __init__(self, broker: BrokerUnderTest, role: str) -> None:
        self.reasons: dict[int, int] = {}
        self.up = False
        username, password, port = account(broker, role)
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{role}-5",
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        self.client.username_pw_set(username, password)
        self.client.on_connect = self._on_connect
        self.client.on_publish = self._on_publish
        self.client.connect(broker.host, port)
        self.client.loop_start()
        eventually(lambda: self.up, what="a connection")

    def _on_connect(self, *_: Any) -> None:
        self.up = True

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self.reasons[mid] = int(reason.value)

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> int:
        info = self.client.publish(topic, payload, qos=1, retain=retain)
        return eventually(lambda: [self.reasons[info.mid]] if info.mid in self.reasons else None)[0]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.mark.parametrize("role", sorted(MAY_PUBLISH))
def test_each_role_publishes_on_its_own_topics_and_on_no_other(rights: BrokerUnderTest, role: str):
    speaker = Five(rights, role)
    with talker(rights, "ingest", "watch-everything") as watch:
        for topic in ("pw/v1/#", "pw/internal/#"):
            watch.subscribe(topic)
        accepted = set()
        for topic in TOPICS:
            if speaker.up and speaker.publish(topic, role.encode()) in {0x00, 0x10}:
                accepted.add(topic)
        speaker.close()
        with talker(rights, "gateway", "afterwards") as last:
            last.publish(OTHER["event"], b"the last")
        eventually(lambda: (OTHER["event"], b"the last") in watch.heard, what="what came after")
    assert accepted == MAY_PUBLISH[role]
    assert {topic for topic, payload in watch.heard if payload == role.encode()} <= MAY_PUBLISH[role]


@pytest.mark.parametrize("role", sorted(MAY_HEAR))
def test_each_role_hears_its_own_topics_and_no_other_whatever_it_subscribes_to(
    rights: BrokerUnderTest, role: str
):
    with (
        talker(rights, role, f"{role}-listens") as listener,
        talker(rights, "ingest", "commands") as ingest,
        talker(rights, "gateway", "reports") as gateway,
    ):
        for topic in FILTERS:
            listener.subscribe(topic)
        for topics in (OTHER, OWN):
            for kind in UP:
                gateway.publish(topics[kind], b"report")
        for topic in (OTHER["cmd"], INNER, OWN["cmd"]):
            ingest.publish(topic, b"command")
        # Its own come last: by then every other has had its chance.
        eventually(lambda: {topic for topic, _ in listener.heard} >= MAY_HEAR[role], what="what it may hear")
    heard = {topic for topic, _ in listener.heard}
    if role == "ingest":
        assert any(topic.startswith("$SYS/") for topic in heard)
        heard = {topic for topic in heard if not topic.startswith("$SYS/")}
    assert heard == MAY_HEAR[role]


@pytest.mark.parametrize("victim", ["pw-ingest-slot-00", "dev-b"])
def test_a_device_cannot_take_over_a_session_by_choosing_its_client_id(rights: BrokerUnderTest, victim: str):
    role = "dev-b" if victim == "dev-b" else "ingest"
    with talker(rights, role, victim, clean=False) as owner:
        owner.subscribe(OTHER["cmd"])
        with talker(rights, "dev-a", victim, clean=False) as thief:
            thief.subscribe(OTHER["cmd"])
            thief.publish(OWN["telemetry"], b"its own, as ever")
            with talker(rights, "ingest", "one-more") as ingest:
                ingest.publish(OTHER["cmd"], b"for the owner")
            eventually(lambda: (OTHER["cmd"], b"for the owner") in owner.heard, what="the owner's message")
            assert thief.heard == []
        assert owner.disconnects == 0
    end_session(rights.ingest_url, victim)


def test_under_aedes_a_device_has_its_own_name_whatever_it_asks_for(tmp_path: Path):
    if node.find_node() is None or node.aedes_version() is None:
        missing("broker", "Node or aedes is not installed (make setup)")
    with EmbeddedBroker(tmp_path, kind="aedes") as embedded:
        aedes = BrokerUnderTest(embedded)
        aedes.add_users(["dev-a"], "a password")
        with talker(aedes, "ingest", "pw-ingest-slot-00", clean=False) as slot:
            slot.subscribe(OWN["telemetry"])
            with talker(aedes, "dev-a", "pw-ingest-slot-00", clean=False) as thief:
                thief.publish(OWN["telemetry"], b"its own")
                eventually(lambda: (OWN["telemetry"], b"its own") in slot.heard, what="the report")
            assert slot.disconnects == 0
        assert verdict(settings_for(tmp_path))[0] == "ok"


def test_nobody_and_a_stranger_are_not_let_in_at_either_port(rights: BrokerUnderTest):
    for port in (rights.embedded.port, rights.embedded.inner_port):
        assert mqtt_connect_code(rights.host, port) != ACCEPTED
        assert mqtt_connect_code(rights.host, port, "dev-a", "guess") != ACCEPTED
        assert mqtt_connect_code(rights.host, port, "stranger", "a password") != ACCEPTED


def test_a_last_will_on_another_devices_topic_is_not_sent(rights: BrokerUnderTest):
    thief = paho.Client(CallbackAPIVersion.VERSION2, client_id="dev-a", reconnect_on_failure=False)
    thief.username_pw_set("dev-a", "a password")
    thief.will_set(OTHER["status"], b"stolen will", qos=1, retain=True)
    with talker(rights, "ingest", "watch-wills") as watch:
        watch.subscribe("pw/v1/+/+/status")
        thief.connect(rights.host, rights.device_port)
        thief.loop_start()
        connection: Any = eventually(thief.socket)
        connection.shutdown(socket.SHUT_RDWR)
        thief.loop_stop()
        with talker(rights, "gateway", "after-the-will") as gateway:
            gateway.publish(OWN["status"], b"after")
        eventually(lambda: (OWN["status"], b"after") in watch.heard, what="what came after")
        assert all(payload != b"stolen will" for _, payload in watch.heard)


@pytest.fixture
def pledgewatch(database_url, fresh_broker):
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PLEDGEWATCH_")},
        "PLEDGEWATCH_DATABASE_URL": database_url,
        "PLEDGEWATCH_DATA_DIR": str(fresh_broker.embedded.folder.parent),
    }

    def run(*arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "pledgewatch", "device", *arguments, "--json"],
            cwd=ROOT, capture_output=True, text=True, env=environment, timeout=120, check=True,
        )  # fmt: skip
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said

    return run


def test_a_revoked_device_is_cut_off_and_what_waited_for_it_is_never_delivered(pledgewatch, fresh_broker):
    given = pledgewatch("add", "dev-r")
    topic = f"pw/v1/{given['shard']}/dev-r/cmd"

    def connect(password: str) -> Talker:
        return Talker(
            fresh_broker.host, fresh_broker.device_port, "dev-r", "dev-r", password, clean=False
        ).connected()

    with connect(given["password"]) as before:
        before.subscribe(topic)
    with talker(fresh_broker, "ingest", "sender") as ingest:
        ingest.publish(topic, b"waits in the session")
    rotated = pledgewatch("rotate", "dev-r")
    assert mqtt_connect_code(
        fresh_broker.host, fresh_broker.device_port, "dev-r", given["password"]
    ) != ACCEPTED  # fmt: skip
    # A new password does not cost the device what waits for it.
    with connect(rotated["password"]) as live:
        eventually(lambda: live.heard == [(topic, b"waits in the session")], what="the waiting command")
    with talker(fresh_broker, "ingest", "sender") as ingest:
        ingest.publish(topic, b"too late")
    said = pledgewatch("revoke", "dev-r")
    assert said == {"device_id": "dev-r", "revoked": True, "changed": True, "session_ended": True}
    assert mqtt_connect_code(
        fresh_broker.host, fresh_broker.device_port, "dev-r", rotated["password"]
    ) != ACCEPTED  # fmt: skip
    again = pledgewatch("add", "dev-r")
    with connect(again["password"]) as back:
        assert not back.session_present
        back.subscribe(topic)
        with talker(fresh_broker, "ingest", "sender") as ingest:
            ingest.publish(topic, b"after")
        eventually(lambda: back.heard == [(topic, b"after")], what="only what came after")
        pledgewatch("revoke", "dev-r")
        eventually(lambda: back.disconnects == 1, what="the end of the live connection")


def test_a_revocation_in_the_api_cuts_the_live_connection_through_the_event(
    database_url: str, fresh_broker: BrokerUnderTest
):
    settings = settings_for(fresh_broker.embedded.folder.parent, database_url=database_url)
    handlers = consumers(StackHandle(settings))["broker"]
    with connect(database_url, name="test", autocommit=True) as conn:

        def change(work: Callable[[Connection], Any]) -> Any:
            """Do what the API does: the change and its event in one transaction, the handler after it."""
            with conn.transaction():
                done = work(conn)
                emit(conn, "device.credentials_changed", "dev-e")
            assert dispatch_once(conn, "broker", handlers) == 1
            return done

        given = change(lambda conn: provisioning.add_device(conn, "dev-e"))
        with Talker(
            fresh_broker.host, fresh_broker.device_port, "dev-e", "dev-e", given.password, clean=False
        ).connected() as live:
            live.subscribe(f"pw/v1/{given.shard:02x}/dev-e/cmd")
            change(lambda conn: provisioning.revoke(conn, "dev-e"))
            eventually(lambda: live.disconnects == 1, what="the end of the live connection")
        assert conn.execute("SELECT * FROM event_failure").fetchall() == []
        again = change(lambda conn: provisioning.add_device(conn, "dev-e"))
        with Talker(
            fresh_broker.host, fresh_broker.device_port, "dev-e", "dev-e", again.password, clean=False
        ).connected() as back:
            assert not back.session_present


def settings_for(data_dir: Path, **values: Any) -> Settings:
    return Settings(_env_file=None, data_dir=data_dir, http_port=0, **values)


def verdict(settings: Settings) -> tuple[str, str]:
    [check] = [check for check in examine(settings).checks if check.part == "MQTT rules"]
    return check.verdict, check.found


def test_doctor_finds_the_rules_of_the_shipped_broker_enforced(rights: BrokerUnderTest, tmp_path: Path):
    data_dir = rights.embedded.folder.parent
    assert running_mqtt_url(data_dir) == rights.ingest_url
    assert verdict(settings_for(data_dir)) == ("ok", "accounts, ACL and client ids are enforced")
    device_url = {"mqtt_url": rights.ingest_url, "mqtt_device_url": rights.url}
    assert verdict(settings_for(tmp_path, **device_url))[0] == "ok"
    assert "client id" in verdict(settings_for(tmp_path, mqtt_url=rights.ingest_url))[1]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["allow_anonymous true"], "without an account"),
        (["allow_anonymous false", "password_file passwords"], "no ACL"),
    ],
)
def test_doctor_says_when_the_running_broker_enforces_nothing(
    rights: BrokerUnderTest, tmp_path: Path, lines: list[str], said: str
):
    program = find_mosquitto()
    if program is None:
        missing("broker", "mosquitto is not on the PATH")
    from pledgewatch.embedded.ports import any_free

    port = any_free()
    (tmp_path / "passwords").write_bytes((rights.embedded.folder / "passwords").read_bytes())
    user = ["user root"] if os.geteuid() == 0 else []
    (tmp_path / "open.conf").write_text("\n".join([f"listener {port} 127.0.0.1", *user, *lines]) + "\n")
    broker = subprocess.Popen(
        [str(program), "-c", "open.conf"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: mqtt_connect_code("127.0.0.1", port, "dev-a", "a password") == ACCEPTED)
        url = rights.ingest_url.replace(f":{rights.embedded.inner_port}", f":{port}")
        found = verdict(settings_for(tmp_path / "data", mqtt_url=url))
    finally:
        broker.terminate()
        broker.wait(timeout=20)
    assert found[0] == "note"
    assert said in found[1]
