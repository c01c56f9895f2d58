"""The codec by properties: any bytes, cut anywhere, give the same messages or one refusal."""

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.domain import Delivery
from ingest.mqtt import packets
from ingest.mqtt.answers import read_connack, read_disconnect, read_puback, read_suback
from ingest.mqtt.frames import FrameCutter
from ingest.mqtt.properties import decode_properties, encode_properties
from ingest.mqtt.reasons import name_of, name_of_311
from ingest.mqtt.stream import Stream
from ingest.mqtt.wire import (
    MOST_REMAINING_BYTES,
    Malformed,
    decode_string,
    decode_varint,
    encode_string,
    encode_varint,
)
from tests.ingest.transport.scripted import publish, text

USER_PROPERTY = b"\x26" + text(b"k") + text(b"v")


@st.composite
def messages(draw):
    mid = draw(st.one_of(st.none(), st.integers(1, 65_535)))
    topic = draw(st.text(min_size=1, max_size=30).filter(lambda said: "\0" not in said))
    return (
        topic,
        draw(st.binary(max_size=draw(st.sampled_from([0, 5, 120, 400])))),
        mid,
        draw(st.booleans()) and mid is not None,
        draw(st.booleans()),
        draw(st.sampled_from([b"", USER_PROPERTY, USER_PROPERTY * 30])),
    )


def on_the_wire(message, *, v5):
    topic, payload, mid, dup, retain, properties = message
    return publish(topic.encode(), payload, mid, dup=dup, retain=retain, properties=properties, v5=v5)


def cut_all(cutter, data, at=0):
    """Return deliveries and other packets in order, and where it stopped."""
    found = []
    while True:
        deliveries: list[Delivery] = []
        at, frame = cutter.cut(data, at, 0.0, deliveries)
        found += [
            (d.topic, d.payload, d.token and d.token.mid, d.redelivered, d.retained) for d in deliveries
        ]
        if frame is None:
            return found, at
        found.append(frame)


def refusal_of(work):
    """Return the refusal and nothing, or nothing and the answer; any other exception is a failure."""
    try:
        return None, work()
    except Malformed as exc:
        return exc, None


@given(
    st.lists(st.one_of(messages(), st.just(None)), max_size=12), st.lists(st.integers(1, 90)), st.booleans()
)
@settings(deadline=None)
def test_any_fragmentation_gives_the_same_messages_in_the_same_order(sent, sizes, v5):
    data = b"".join(b"\xd0\x00" if one is None else on_the_wire(one, v5=v5) for one in sent)
    whole, end = cut_all(FrameCutter(1, v5=v5), data)
    assert end == len(data)
    assert whole == [(13, 0, b"") if one is None else one[:5] for one in sent]

    ours, theirs = socket.socketpair()
    stream, cutter, found, at = Stream(ours), FrameCutter(1, v5=v5), [], 0
    for size in [*sizes, len(data)]:
        theirs.sendall(data[at : at + size])
        at += size
        stream.read()
        if stream.filled < cutter.needed:
            continue
        content = stream.content()
        more, used = cut_all(cutter, content)
        found += more
        assert used + cutter.needed > len(content)  # a packet that is there is never waited for
        stream.drop(content, used, cutter.needed)
    assert found == whole
    ours.close()
    theirs.close()


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_packets_or_malformed_and_nothing_else(data, v5):
    cutter = FrameCutter(1, v5=v5)
    refusal, used = refusal_of(lambda: cut_all(cutter, data))
    if refusal is None:
        assert len(data) < used[1] + cutter.needed
    else:
        assert refusal.reason >= 0x80
        assert refusal.detail


@given(st.integers(0, MOST_REMAINING_BYTES), st.binary(max_size=3))
def test_lengths_are_read_back_and_cut_off_ones_wait(value, rest):
    wire = encode_varint(value)
    assert decode_varint(wire + rest, 0, len(wire) + len(rest)) == (value, len(wire))
    for end in range(len(wire)):
        assert decode_varint(wire, 0, end) is None


@given(st.text(max_size=50), st.binary(max_size=5))
def test_strings_are_read_back(value, rest):
    wire = encode_string(value)
    assert decode_string(wire + rest, 0, len(wire) + len(rest)) == (value, len(wire))


@given(st.binary(max_size=40), st.booleans())
def test_answers_of_any_bytes_are_read_or_malformed(body, v5):
    for read in (
        lambda: read_connack(body, v5=v5),
        lambda: read_suback(body, v5=v5),
        lambda: read_puback(body, v5=v5),
        lambda: read_disconnect(body),
        lambda: decode_properties(body, 0, len(body)),
    ):
        refusal, answer = refusal_of(read)
        assert (refusal is None) != (answer is None)


@given(st.lists(st.integers(1, 65_535), max_size=50))
def test_joined_acknowledgements_are_one_after_the_other(mids):
    assert packets.puback_packets(mids) == b"".join(b"\x40\x02" + mid.to_bytes(2, "big") for mid in mids)


def test_a_length_a_string_and_a_property_have_limits():
    for broken in (-1, MOST_REMAINING_BYTES + 1):
        with pytest.raises(ValueError, match="Expected 0 to"):
            encode_varint(broken)
    with pytest.raises(ValueError, match="65535"):
        encode_string("x" * 65_536)
    with pytest.raises(Malformed, match="once"):
        decode_properties(b"\x06\x21\x00\x01\x21\x00\x02", 0, 7)
    with pytest.raises(Malformed, match="UTF-8"):
        decode_properties(b"\x04\x1f\x00\x01\xff", 0, 5)
    with pytest.raises(Malformed, match="at most four bytes"):
        decode_varint(b"\xff\xff\xff\xff\x01", 0, 5)


def test_our_properties_are_what_paho_would_send():
    theirs = Properties(PacketTypes.CONNECT)
    theirs.SessionExpiryInterval = 3_600
    theirs.ReceiveMaximum = 4_096
    wire = encode_properties({0x21: 4_096, 0x11: 3_600})
    read_back, end = decode_properties(theirs.pack(), 0, len(theirs.pack()))
    assert (read_back, end) == ({0x21: 4_096, 0x11: 3_600}, len(wire))
    assert decode_properties(wire, 0, len(wire))[0] == read_back


def test_reasons_have_the_names_that_the_reference_gives_them():
    for code in (0x10, 0x81, 0x82, 0x87, 0x8D, 0x8E, 0x93, 0x95, 0x9B):
        kinds = {0x10: PacketTypes.PUBACK}
        theirs = ReasonCode(kinds.get(code, PacketTypes.DISCONNECT), identifier=code)
        assert name_of(code).lower() == str(theirs).lower()
    assert name_of(0xEE) == "Reason 0xee"
    assert name_of_311(5) == "Not authorized"
    assert name_of_311(77) == "Return code 77"


def test_a_welcome_says_what_the_broker_allows():
    properties = b"\x13\x00\x3c\x21\x00\x14\x27\x00\x01\x20\x00"
    answer = read_connack(b"\x01\x00" + bytes([len(properties)]) + properties, v5=True)
    assert answer == (None, False, True, 60, 20, 73_728)
    assert read_connack(b"\x00\x87\x07\x1f\x00\x04nope", v5=True).refusal == "Not authorized (nope)"
    assert read_connack(b"\x00\x05", v5=False).refusal == "Not authorized"
    assert read_connack(b"\x01\x00", v5=False) == (None, False, True, None, 65_535, None)
    with pytest.raises(Malformed, match="behind the properties"):
        read_connack(b"\x00\x00\x00x", v5=True)


def test_a_topic_heard_again_is_the_same_text_and_the_memory_of_topics_has_an_end(monkeypatch):
    monkeypatch.setattr("ingest.mqtt.frames.TOPICS_REMEMBERED", 3)
    cutter = FrameCutter(1, v5=True)
    first, second = (cut_all(cutter, publish(b"a/1", b"", 1))[0][0][0] for _ in range(2))
    assert first is second
    for number in range(10):
        cut_all(cutter, publish(b"b/%d" % number, b"", 1))
    assert len(cutter._topics) <= 3
