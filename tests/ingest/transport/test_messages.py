"""What comes out of the bytes of a broker is the same for both transports, however the bytes arrive."""

import pytest

from ingest.mqtt.frames import NOT_UTF8
from tests.ingest.transport.scripted import BOTH, packet, publish, take, talking, text

ALL_PROPERTIES = (
    b"\x01\x01"  # payload is text
    b"\x02\x00\x00\x0e\x10"  # expires in an hour
    b"\x03" + text(b"application/json") + b"\x08" + text(b"answer/here") + b"\x09" + text(b"\x00\xff\x00")
    + b"\x26" + text(b"key") + text(b"value") + b"\x26" + text(b"key") + text(b"again")
)  # fmt: skip


def seen(deliveries):
    return [(d.topic, d.payload, d.redelivered, d.retained, d.token and d.token.mid) for d in deliveries]


@BOTH
@pytest.mark.parametrize("most", [1, 3, 50, 4_000])
def test_messages_arrive_the_same_however_their_bytes_are_cut(transport_kind, most):
    wanted = [(f"a/{n % 7}", b"%d-" % n * (n % 40), n % 3 == 0, n % 5 == 0, n or None) for n in range(40)]
    stream = b"".join(
        publish(topic.encode(), payload, mid, dup=dup and bool(mid), retain=retain)
        + (b"\xd0\x00" if mid == 20 else b"")
        for topic, payload, dup, retain, mid in wanted
    )
    with talking(transport_kind) as (_, line, transport):
        line.send_in_pieces(stream, seed=most, most=most)
        got = take(transport, 40)
        assert seen(got) == [(t, p, dup and bool(mid), r, mid) for t, p, dup, r, mid in wanted]
        transport.ack([d.token for d in got if d.token])
        assert line.acknowledged(39) == list(range(1, 40))
        assert transport.window_used == 0


@BOTH
@pytest.mark.parametrize("remaining", [127, 128, 16_383, 16_384, 300_000, 2_097_151, 2_097_152])
def test_every_width_of_the_length_field_is_read(transport_kind, remaining):
    body = bytes(range(256)) * (remaining // 256 + 1)
    payload = body[: remaining - len(text(b"a/1")) - 2 - 1]
    with talking(transport_kind) as (_, line, transport):
        line.send(publish(b"a/1", payload, 9) + publish(b"a/2", b"next", 10))
        first, second = take(transport, 2)
        assert first.payload == payload
        assert (second.topic, second.payload) == ("a/2", b"next")


@BOTH
def test_an_empty_payload_and_the_longest_topic_are_messages(transport_kind):
    with talking(transport_kind) as (_, line, transport):
        line.send(publish(b"a/" + b"x" * 65_533, b"", 65_535))
        [got] = take(transport, 1)
        assert (len(got.topic), got.payload, got.token.mid) == (65_535, b"", 65_535)


@BOTH
def test_properties_of_a_message_are_stepped_over(transport_kind):
    many = ALL_PROPERTIES + b"\x26" + text(b"n") + text(b"x" * 300)
    with talking(transport_kind) as (_, line, transport):
        for properties in (ALL_PROPERTIES, many, b"\x0b\xff\x7f"):
            line.send(publish(b"a/1", b"body", 5, properties=properties))
        line.send(publish(b"a/1", b"without", None))
        assert [d.payload for d in take(transport, 4)] == [b"body"] * 3 + [b"without"]


@BOTH
def test_a_topic_that_is_no_text_is_delivered_under_a_name_of_ours(transport_kind):
    with talking(transport_kind) as (_, line, transport):
        line.send(publish(b"a/\xff\xfe", b"body", 5))
        [got] = take(transport, 1)
        assert (got.topic, got.payload, got.token.mid) == (NOT_UTF8, b"body", 5)


@BOTH
def test_acknowledgements_leave_in_the_order_they_were_given(transport_kind):
    mids = [7, 3, 65_535, 1, 2, 40_000]
    with talking(transport_kind) as (_, line, transport):
        line.send(b"".join(publish(b"a/1", b"x", mid) for mid in mids))
        got = take(transport, len(mids))
        for part in (got[:1], got[1:4], got[4:]):
            transport.ack([d.token for d in part])
        assert line.acknowledged(len(mids)) == mids


@BOTH
def test_a_message_of_our_own_is_sent_once_there_is_a_session(transport_kind):
    with talking(transport_kind) as (_, line, transport):
        assert transport.publish("pw/internal/probe", b"mark")
        found = line.next()
        mid = found.body[2 + 17 : 2 + 17 + 2]
        assert (found.kind, found.flags) == (3, 2)
        assert found.body == text(b"pw/internal/probe") + mid + b"\0" + b"mark"
        assert mid != b"\0\0"
        line.send(packet(0x40, mid + b"\x10"))
        line.send(publish(b"a/1", b"after it", 1))
        assert take(transport, 1)[0].payload == b"after it"
