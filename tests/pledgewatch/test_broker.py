"""What ingest and devices rely on, asked of both brokers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import Rejected
from core.mqtt_passwords import mosquitto_password_hash
from pledgewatch.embedded import mosquitto, node
from pledgewatch.embedded.broker import BrokerKind, EmbeddedBroker
from pledgewatch.embedded.ports import PortBusy
from pledgewatch.embedded.probe import ACCEPTED, mqtt_connect_code
from tests.fix_stack import BrokerUnderTest, eventually, missing
from tests.mqtt_talk import Talker

KINDS: tuple[BrokerKind, ...] = ("mosquitto", "aedes")


def started(kind: BrokerKind, data_dir: Path) -> BrokerUnderTest:
    if kind == "mosquitto" and mosquitto.find_mosquitto() is None:
        missing("broker", "mosquitto is not on the PATH")
    if kind == "aedes" and (node.find_node() is None or node.aedes_version() is None):
        missing("broker", "Node or aedes is not installed (make setup)")
    embedded = EmbeddedBroker(data_dir, kind=kind)
    embedded.start()
    return BrokerUnderTest(embedded)


@pytest.fixture(scope="module", params=KINDS)
def either(request, tmp_path_factory) -> Iterator[BrokerUnderTest]:
    running = started(request.param, tmp_path_factory.mktemp(request.param))
    yield running
    running.embedded.stop()


@pytest.fixture
def restartable(tmp_path: Path) -> Iterator[BrokerUnderTest]:
    running = started("mosquitto", tmp_path)
    yield running
    running.embedded.stop()


def device(broker: BrokerUnderTest, name: str, **options) -> Talker:
    return Talker(broker.host, broker.port, name, name, broker.add_user(name), **options).connected()


def ingest(broker: BrokerUnderTest, client_id: str, **options) -> Talker:
    return Talker(
        broker.host, broker.port, client_id, "ingest", broker.ingest_password, **options
    ).connected()


def test_nobody_comes_in_without_an_account(either: BrokerUnderTest):
    assert Talker(either.host, either.port, "anonymous").refused()
    either.add_user("known")
    assert Talker(either.host, either.port, "known", "known", "wrong").refused()
    assert Talker(either.host, either.port, "known", "unknown", "wrong").refused()


def test_a_device_reports_under_its_own_id(either: BrokerUnderTest):
    with ingest(either, "slot-own") as slot, device(either, "dev-own") as dev:
        slot.subscribe("pw/v1/+/dev-own/#")
        for kind in ("telemetry", "event", "status", "cmdack"):
            dev.publish(f"pw/v1/0a/dev-own/{kind}", kind.encode())
        eventually(lambda: len(slot.heard) == 4, what="four reports")
        assert {payload for _, payload in slot.heard} == {b"telemetry", b"event", b"status", b"cmdack"}


@pytest.mark.parametrize(
    "topic",
    [
        "pw/v1/0a/dev-other/telemetry",  # another device
        "pw/v1/0a/dev-thief/cmd",  # commands come from us
        "pw/v1/0a/dev-thief/telemetry/more",
        "pw/internal/anything",
    ],
)
def test_a_device_reaches_no_other_topic(either: BrokerUnderTest, topic: str):
    with ingest(either, "slot-thief") as slot:
        assert slot.subscribe("pw/v1/#") == 1
        assert slot.subscribe("pw/internal/#") == 1
        with device(either, "dev-thief") as thief:
            mid = thief.send(topic, b"stolen")
            # Mosquitto acknowledges and drops, aedes hangs up.
            eventually(lambda: thief.acknowledged(mid) or thief.disconnects, what="the broker's verdict")
        # A later report that does arrive proves that the stolen one had its chance.
        with device(either, "dev-thief") as honest:
            honest.publish("pw/v1/0a/dev-thief/telemetry", b"honest")
        eventually(
            lambda: ("pw/v1/0a/dev-thief/telemetry", b"honest") in slot.heard, what="the honest report"
        )
        assert all(payload != b"stolen" for _, payload in slot.heard)


def test_a_device_hears_its_own_commands_only(either: BrokerUnderTest):
    with ingest(either, "slot-cmd") as slot, device(either, "dev-a") as dev:
        assert dev.subscribe("pw/v1/+/dev-a/cmd") == 1
        dev.subscribe("pw/v1/+/dev-b/cmd")
        dev.subscribe("pw/#")
        dev.subscribe("#")
        slot.publish("pw/v1/01/dev-b/cmd", b"not yours")
        slot.publish("pw/v1/01/dev-a/cmd", b"locate")
        eventually(lambda: ("pw/v1/01/dev-a/cmd", b"locate") in dev.heard, what="the command")
        assert {topic for topic, _ in dev.heard} == {"pw/v1/01/dev-a/cmd"}


def test_the_status_is_retained_for_a_later_listener(either: BrokerUnderTest):
    with device(either, "dev-status") as dev:
        dev.publish("pw/v1/02/dev-status/status", b"online", retain=True)
    with ingest(either, "slot-status") as slot:
        slot.subscribe("pw/v1/+/dev-status/status")
        eventually(lambda: slot.heard, what="the retained status")
        assert slot.heard == [("pw/v1/02/dev-status/status", b"online")]


def test_a_persistent_session_keeps_what_was_sent_while_its_worker_was_away(either: BrokerUnderTest):
    with ingest(either, "slot-kept", clean=False) as slot:
        slot.subscribe("pw/v1/+/dev-kept/telemetry")
    with device(either, "dev-kept") as dev:
        for number in range(150):
            dev.send("pw/v1/03/dev-kept/telemetry", str(number).encode())
        dev.publish("pw/v1/03/dev-kept/telemetry", b"150")
    with ingest(either, "slot-kept", clean=False) as slot:
        assert slot.session_present
        eventually(lambda: len(slot.heard) >= 151, what="the queued reports")
        assert [int(payload) for _, payload in slot.heard] == list(range(151))


def test_what_was_not_acknowledged_comes_again(either: BrokerUnderTest):
    slot = ingest(either, "slot-again", clean=False, manual_ack=True)
    slot.subscribe("pw/v1/+/dev-again/telemetry")
    with device(either, "dev-again") as dev:
        for number in range(40):
            dev.publish("pw/v1/04/dev-again/telemetry", str(number).encode())
    eventually(lambda: len(slot.heard) == 40, what="forty un-acknowledged reports, more than the default 20")
    slot.cut()
    with ingest(either, "slot-again", clean=False) as slot_back:
        eventually(lambda: len(slot_back.heard) >= 40, what="the same forty")
        assert [int(payload) for _, payload in slot_back.heard] == list(range(40))


def test_a_second_connection_with_the_same_client_id_takes_over(either: BrokerUnderTest):
    with ingest(either, "slot-fenced", clean=False) as first, ingest(either, "slot-fenced", clean=False):
        eventually(lambda: first.disconnects == 1, what="the first one's disconnect")


def test_a_packet_above_the_limit_is_refused_without_acknowledgement(either: BrokerUnderTest):
    with ingest(either, "slot-big") as slot, device(either, "dev-big") as dev:
        slot.subscribe("pw/v1/+/dev-big/telemetry")
        dev.publish("pw/v1/05/dev-big/telemetry", b"x" * 65_536)
        mid = dev.send("pw/v1/05/dev-big/telemetry", b"y" * 10_000_000)
        eventually(lambda: dev.disconnects == 1, what="the refusal")
        assert not dev.acknowledged(mid)
    with device(either, "dev-big") as dev:
        dev.publish("pw/v1/05/dev-big/telemetry", b"after")
        eventually(lambda: len(slot.heard) == 2 or slot.disconnects, what="what came after")
        assert [len(payload) for _, payload in slot.heard] == [65_536, 5] or slot.disconnects


def test_a_revoked_account_is_cut_off_and_the_others_stay(either: BrokerUnderTest):
    with device(either, "dev-stays") as stays, device(either, "dev-revoked") as revoked:
        either.remove_user("dev-revoked")
        eventually(lambda: revoked.disconnects == 1, what="the revoked device's disconnect")
        stays.publish("pw/v1/06/dev-stays/telemetry", b"still here")
        assert stays.disconnects == 0
    assert Talker(either.host, either.port, "dev-revoked", "dev-revoked", "any").refused()


def test_a_rotated_password_replaces_the_old_one(either: BrokerUnderTest):
    old = either.add_user("dev-rotated")
    new = either.add_user("dev-rotated")
    assert mqtt_connect_code(either.host, either.port, "dev-rotated", old) != ACCEPTED
    assert mqtt_connect_code(either.host, either.port, "dev-rotated", new) == ACCEPTED


@pytest.mark.parametrize("name", ["#", "+", "a/b", "a:b", "", "ingest\n", "../x", "a" * 65])
def test_a_name_that_would_widen_the_acl_is_refused(either: BrokerUnderTest, name: str):
    with pytest.raises(Rejected, match="Broker user"):
        either.embedded.reload_credentials([(name, mosquitto_password_hash("x"))])


def test_no_device_can_be_called_ingest(either: BrokerUnderTest):
    with pytest.raises(Rejected, match="reserved"):
        either.embedded.reload_credentials([("ingest", mosquitto_password_hash("x"))])
    assert mqtt_connect_code(either.host, either.port, "ingest", either.ingest_password) == ACCEPTED


def test_another_process_adds_an_account(either: BrokerUnderTest):
    data_dir = either.embedded.folder.parent
    script = (
        "import sys; from pathlib import Path; from pledgewatch.embedded.broker import sync_credentials;"
        "from core.mqtt_passwords import mosquitto_password_hash as h;"
        "print(sync_credentials(Path(sys.argv[1]), lambda: [('from-elsewhere', h('open sesame'))]))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(data_dir)],
        check=True, capture_output=True, text=True, timeout=60, cwd=node.REPOSITORY,
    )  # fmt: skip
    assert said.stdout.strip() == "True"
    assert mqtt_connect_code(either.host, either.port, "from-elsewhere", "open sesame") == ACCEPTED


def test_both_brokers_have_the_same_packet_limit():
    conf = (mosquitto.DEPLOY / "mosquitto.conf").read_text(encoding="utf-8")
    assert f"\nmax_packet_size {node.MAX_PACKET_BYTES}\n" in conf


def test_an_outage_of_more_than_a_thousand_reports_loses_none(restartable: BrokerUnderTest):
    with ingest(restartable, "slot-long", clean=False) as slot:
        slot.subscribe("pw/v1/+/dev-long/telemetry")
    with device(restartable, "dev-long") as dev:
        mids = [dev.send("pw/v1/07/dev-long/telemetry", str(number).encode()) for number in range(1_500)]
        eventually(lambda: all(dev.acknowledged(mid) for mid in mids), what="1,500 acknowledgements")
    with ingest(restartable, "slot-long", clean=False) as slot:
        eventually(lambda: len(slot.heard) == 1_500, what="1,500 reports")
        assert [int(payload) for _, payload in slot.heard] == list(range(1_500))


def test_sessions_and_accounts_survive_a_restart_of_mosquitto(restartable: BrokerUnderTest):
    password = restartable.add_user("dev-restart")
    with ingest(restartable, "slot-restart", clean=False) as slot:
        slot.subscribe("pw/v1/+/dev-restart/telemetry")
    with Talker(restartable.host, restartable.port, "d", "dev-restart", password).connected() as dev:
        dev.publish("pw/v1/08/dev-restart/telemetry", b"before")
    port = restartable.port
    restartable.embedded.stop()
    assert mqtt_connect_code(restartable.host, port) is None
    restartable.embedded.start()
    assert restartable.port == port
    assert mqtt_connect_code(restartable.host, port, "dev-restart", password) == ACCEPTED
    with ingest(restartable, "slot-restart", clean=False) as slot:
        assert slot.session_present
        eventually(
            lambda: slot.heard == [("pw/v1/08/dev-restart/telemetry", b"before")], what="the kept report"
        )


def test_a_killed_mosquitto_is_noticed_and_starts_again_on_its_port(restartable: BrokerUnderTest):
    port, pid = restartable.port, restartable.embedded.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not restartable.embedded.running, what="the crash to be seen")
    restartable.embedded.start()
    assert restartable.port == port
    assert mqtt_connect_code(restartable.host, port, "ingest", restartable.ingest_password) == ACCEPTED


def test_a_busy_port_is_named_with_its_variable(restartable: BrokerUnderTest, tmp_path: Path):
    with pytest.raises(PortBusy, match=r"PLEDGEWATCH_MQTT_PORT") as caught:
        EmbeddedBroker(tmp_path / "second", restartable.port).start()
    assert caught.value.facts["port"] == restartable.port


def test_on_the_public_listener_a_device_cannot_take_over_a_slot(tmp_path: Path):
    """The line `use_username_as_clientid` of conf.d/20-listeners.conf, tried on a second listener."""
    assert "use_username_as_clientid true" in (mosquitto.DEPLOY / "conf.d" / "20-listeners.conf").read_text()
    first = started("mosquitto", tmp_path)
    first.embedded.stop()
    from pledgewatch.embedded.ports import any_free

    public = any_free()
    conf = first.embedded.folder / "conf.d" / "public.conf"
    conf.write_text(f"listener {public} 127.0.0.1\nuse_username_as_clientid true\n", encoding="utf-8")
    with first.embedded:
        password = first.add_user("dev-hijack")
        with ingest(first, "ingest-slot-00", clean=False) as slot:
            with Talker(
                first.host, public, "ingest-slot-00", "dev-hijack", password, clean=False
            ).connected() as dev:
                dev.publish("pw/v1/09/dev-hijack/telemetry", b"hello")
            assert slot.disconnects == 0
        # On the inner listener the same trick works, which is why that one is not published.
        with ingest(first, "ingest-slot-00", clean=False) as slot:
            Talker(first.host, first.port, "ingest-slot-00", "dev-hijack", password).connected().close()
            eventually(lambda: slot.disconnects == 1, what="the take-over")
