"""What no broker may say: it is never a message, and never the end of receiving."""

import pytest

from ingest.mqtt.fast_transport import FastTransport
from tests.ingest.transport.scripted import (
    BOTH,
    DISCONNECT,
    await_trouble,
    connack,
    connecting,
    length,
    packet,
    publish,
    scripted,
    take,
    talking,
    text,
)

NONSENSE = {
    "a length without end": b"\x32\xff\xff\xff\xff\x01",
    "a topic longer than its packet": packet(0x32, b"\x00\x09a/1\x00\x01\x00"),
    "a packet that ends in its id": packet(0x32, text(b"a/1") + b"\x00"),
    "properties longer than their packet": packet(0x32, text(b"a/1") + b"\x00\x01\x7fx"),
    "a property that does not exist": publish(b"a/1", b"x", 1, properties=b"\x7e\x00"),
    "a quality of service that does not exist": b"\x36" + publish(b"a/1", b"x", 1)[1:],
    "a packet of no type": b"\x00\x00",
    "a client's packet": packet(0x82, b"\x00\x01\x00" + text(b"a/1") + b"\x01"),
}
ONLY_OURS_MINDS = {
    "a second welcome": connack(),
    "packet id 0": b"\x32" + length(8) + text(b"a/1") + b"\x00\x00\x00",
    "a topic alias that nobody allowed": publish(b"a/1", b"x", 1, properties=b"\x23\x00\x01"),
    "no topic": publish(b"", b"x", 1),
    "a quality of service that nobody asked for": b"\x34" + publish(b"a/1", b"x", 1)[1:],
    "a packet above the limit": b"\x32\xff\xff\xff\x7f",
    "the answer to another subscription": packet(0x90, b"\xff\xff\x00\x01\x01"),
}


@BOTH
@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_never_a_message_and_never_the_end_of_receiving(transport_kind, nonsense):
    survives(transport_kind, nonsense)


@pytest.mark.parametrize("nonsense", ONLY_OURS_MINDS.values(), ids=ONLY_OURS_MINDS)
def test_what_paho_lets_pass_ends_the_connection_of_our_own(nonsense):
    survives(FastTransport, nonsense)


def survives(transport_kind, nonsense):
    with talking(transport_kind) as (broker, line, transport):
        line.send(publish(b"a/1", b"before", 1))
        take(transport, 1)
        line.send(nonsense)
        if transport_kind is FastTransport:
            left = line.until_closed()
            assert [found.kind for found in left] == [DISCONNECT]
            assert left[0].body[0] >= 0x80  # and it says why
            assert await_trouble(transport).kind == "protocol_error"
        else:
            line.close()
        again = broker.accept()
        again.welcome(present=True)
        again.send(publish(b"a/1", b"after", 1))
        assert [d.payload for d in take(transport, 1)] == [b"after"]


def test_a_message_before_the_welcome_is_nonsense():
    with scripted() as broker, connecting(FastTransport, broker.url) as transport:
        line = broker.accept()
        line.greeted()
        line.send(publish(b"a/1", b"x", 1))
        assert line.until_closed() == []
        assert await_trouble(transport).kind == "protocol_error"
        assert len(transport._ring) == 0
        for each in broker.lines:
            each.close()
