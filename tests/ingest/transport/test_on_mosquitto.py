"""Both transports on a real Mosquitto (and on aedes, which speaks the older MQTT)."""

from dataclasses import dataclass

import pytest

from core.clock import monotonic
from ingest.domain import Token
from ingest.mqtt.fast_transport import FastTransport
from ingest.paho_transport import PahoTransport
from ingest.transport import Connected, Trouble
from pledgewatch.embedded import node
from pledgewatch.embedded.broker import EmbeddedBroker
from tests.fix_ingest import IngestRig, minutes_ago, position
from tests.fix_stack import BrokerUnderTest, eventually
from tests.ingest.transport.scripted import BOTH
from tests.mqtt_talk import Talker

TAKE = {"most": 1_000, "most_bytes": 1 << 20, "flush_s": 0.05, "wait_s": 0.2}


@dataclass(frozen=True)
class Speaker:
    """A device on its topic, when the acknowledgement is not to be waited for."""

    device: Talker
    topic: str

    def send(self, body, *, retain=False):
        self.device.send(self.topic, body, retain=retain)


@pytest.fixture(params=[FastTransport, PahoTransport], ids=["fast", "paho"])
def channel(broker, request):
    """A transport on topics of its own, and a device that speaks there."""
    name = f"talk-{monotonic():.6f}".replace(".", "-")
    password = broker.add_user(name)
    topic = f"pw/v1/00/{name}/telemetry"
    open_ones = []

    def connect(**options):
        transport = request.param(broker.ingest_url, f"test-{name}", [(topic, 1)], **options)
        transport.connect()
        open_ones.append(transport)
        [event] = eventually(transport.events, what="a connection")
        assert isinstance(event, Connected)
        return transport, event.session_present

    with Talker(broker.host, broker.port, name, name, password) as device:
        device.connected()
        yield connect, lambda body: device.publish(topic, body), Speaker(device, topic)
    for transport in open_ones:
        transport.close()


def received(transport, count):
    got = []

    def more():
        got.extend(transport.recv_batch(**TAKE))
        return len(got) >= count

    eventually(more, what=f"{count} deliveries")
    return got


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(channel):
    connect, speak, _ = channel
    transport, present = connect()
    assert present is False
    for body in (b"1", b"2", b"3"):
        speak(body)
    first = received(transport, 3)
    assert transport.window_used == 3
    transport.ack([first[0].token])
    eventually(lambda: transport.window_used == 2, what="the acknowledgement")
    transport.close()
    again, present = connect()
    assert present is True
    assert [(d.payload, d.redelivered) for d in received(again, 2)] == [(b"2", True), (b"3", True)]


def test_acknowledgements_of_an_earlier_connection_are_never_sent(channel):
    connect, speak, _ = channel
    transport, _ = connect()
    speak(b"1")
    [one] = received(transport, 1)
    stale = Token(one.token.connection - 1, one.token.mid)
    transport.ack([stale])
    transport.close()
    again, _ = connect()
    assert [d.payload for d in received(again, 1)] == [b"1"]


def test_the_window_bounds_what_is_in_hand(channel):
    connect, speak, _ = channel
    transport, _ = connect(receive_maximum=5)
    for number in range(12):
        speak(b"%d" % number)
    first = received(transport, 5)
    assert transport.recv_batch(**TAKE) == []
    transport.ack([d.token for d in first])
    # Mosquitto before 2.0.13 forgets the window here; the order must hold in any case.
    rest = received(transport, 5)
    assert [d.payload for d in first + rest] == [b"%d" % number for number in range(5 + len(rest))]


def test_a_session_can_be_ended_for_good(channel):
    connect, speak, _ = channel
    transport, _ = connect()
    speak(b"1")
    received(transport, 1)
    transport.close(end_session=True)
    _, present = connect()
    assert present is False


def test_a_second_connection_with_our_name_takes_the_session_over_and_we_take_it_back(channel):
    connect, speak, _ = channel
    transport, _ = connect()
    speak(b"1")
    received(transport, 1)
    other, present = connect()
    assert present is True
    assert [(d.payload, d.redelivered) for d in received(other, 1)] == [(b"1", True)]

    def told():
        return [event for event in transport.events() if isinstance(event, Trouble)]

    assert eventually(told, what="the loss of the session")[0].kind == "broker_disconnected"
    other.close()
    eventually(lambda: transport.ready and transport.connections >= 2, what="the session back")
    again = received(transport, 1)
    assert (again[0].payload, again[0].redelivered) == (b"1", True)
    transport.ack([again[-1].token])
    eventually(lambda: transport.window_used == 0, what="the acknowledgement")


def test_three_thousand_messages_come_once_each_in_order_through_a_small_window(channel):
    connect, _, talker = channel
    transport, _ = connect(receive_maximum=200)
    for number in range(3_000):
        talker.send(b"%d" % number)
    got: list[int] = []

    def all_of_them():
        batch = transport.recv_batch(**TAKE)
        transport.ack([delivery.token for delivery in batch])
        got.extend(int(delivery.payload) for delivery in batch)
        return len(got) >= 3_000

    eventually(all_of_them, within_s=60, what="three thousand deliveries")
    assert got == list(range(3_000))
    eventually(lambda: transport.window_used == 0, what="the acknowledgements")


def test_a_retained_message_is_marked_and_comes_only_to_a_new_subscription(channel):
    connect, _, talker = channel
    talker.send(b"as it was", retain=True)
    transport, present = connect()
    [got] = received(transport, 1)
    assert (present, got.payload, got.retained) == (False, b"as it was", True)
    transport.ack([got.token])
    transport.close()
    again, present = connect()
    assert present is True
    talker.send(b"as it is")
    [got] = received(again, 1)
    assert (got.payload, got.retained) == (b"as it is", False)


def test_the_largest_packet_that_the_broker_takes_arrives_whole(channel):
    connect, speak, _ = channel
    transport, _ = connect()
    body = bytes(range(256)) * 256
    speak(body)
    assert received(transport, 1)[0].payload == body


@BOTH
def test_a_wrong_password_is_told_and_tried_again(transport_kind, broker):
    transport = transport_kind(
        f"mqtt://ingest:wrong@{broker.host}:{broker.port}", "test-wrong", [("pw/v1/00/x/telemetry", 1)]
    )
    transport.connect()
    try:
        said: list[str] = []

        def refused_twice():
            said.extend(event.kind for event in transport.events() if isinstance(event, Trouble))
            return said.count("broker_refused") >= 2

        eventually(refused_twice, what="two refusals")
        assert not transport.publish("pw/internal/x", b"")
    finally:
        transport.close()


@pytest.mark.parametrize("name", ["fast", "paho"])
def test_a_broker_that_speaks_only_the_older_mqtt_is_served_as_well(name, database_url, tmp_path):
    """aedes is what runs where there is no Mosquitto; it refuses MQTT 5 or answers it as 3.1.1."""
    if node.find_node() is None or node.aedes_version() is None:
        pytest.skip("needs Node and aedes (make setup)")
    embedded = EmbeddedBroker(tmp_path / "aedes", kind="aedes")
    embedded.start()
    rig = IngestRig(database_url, BrokerUnderTest(embedded), tmp_path)
    rig.settings["PLEDGEWATCH_INGEST_TRANSPORT"] = name
    try:
        rig.register("d1")
        rig.start_and_wait()
        for seq in range(20):
            rig.report("d1", position("d1", seq, minutes_ago(5)))
        found = rig.checked()
        assert (found.stored, found.lost, found.ghost) == (20, 0, 0)
    finally:
        rig.close()
        embedded.stop()
