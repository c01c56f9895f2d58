"""How a connection begins, lives, ends and begins again, for both transports."""

import contextlib
import threading

import pytest

from core.clock import monotonic
from ingest.mqtt.fast_transport import FastTransport
from tests.fix_stack import eventually
from tests.ingest.transport.scripted import (
    BOTH,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    SUBSCRIBE,
    TAKE,
    UNSUBSCRIBE,
    ScriptedBroker,
    await_connected,
    await_trouble,
    connack,
    connecting,
    packet,
    publish,
    scripted,
    take,
    talking,
    text,
)


@BOTH
def test_connect_asks_for_a_session_that_outlives_us_and_a_window(transport_kind):
    with scripted() as broker, connecting(transport_kind, broker.url, receive_maximum=777) as transport:
        line = broker.accept()
        body = line.greeted().body
        flags, keepalive_s = body[7], int.from_bytes(body[8:10], "big")
        assert (body[:7], flags, keepalive_s) == (text(b"MQTT") + b"\x05", 0xC0, 30)
        size = body[10]
        properties = {body[11:16], body[16:19]} if body[11] == 0x11 else {body[11:14], body[14:19]}
        assert size == 8
        assert properties == {
            b"\x11" + (14 * 86_400).to_bytes(4, "big"), b"\x21" + (777).to_bytes(2, "big")
        }  # fmt: skip
        assert body[19:] == text(b"slot") + text(b"us@er") + text(b"pa/ss")
        assert not transport.ready
        assert not transport.publish("a/1", b"too early")
        line.send(connack(properties=b"\x12" + text(b"slot") + b"\x22\x00\x05\x27\x00\x10\x00\x00"))
        wanted = line.expect(SUBSCRIBE)
        assert wanted.flags == 2
        # QoS 1, and retained messages only for a subscription that is new.
        assert wanted.body[2:] == b"\0" + text(b"a/#") + b"\x11" + text(b"b/+") + b"\x11"
        line.send(packet(0x90, wanted.body[:2] + b"\0\x01\x01"))
        assert not await_connected(transport).session_present
        assert transport.ready
        line.close()


@BOTH
def test_subscriptions_of_another_layout_are_taken_back_first(transport_kind):
    with scripted() as broker, connecting(transport_kind, broker.url, unwanted=["c/#", "d/#"]) as transport:
        line = broker.accept()
        line.greeted()
        line.send(connack(present=True))
        dropped = line.expect(UNSUBSCRIBE)
        assert dropped.body[2:] == b"\0" + text(b"c/#") + text(b"d/#")
        line.send(packet(0xB0, dropped.body[:2] + b"\0\0\x11"))
        line.subscribed()
        assert await_connected(transport).session_present
        line.close()


@BOTH
def test_what_a_kept_session_held_back_comes_before_the_subscription_is_answered(transport_kind):
    with scripted() as broker, connecting(transport_kind, broker.url) as transport:
        line = broker.accept()
        line.greeted()
        line.send(connack(present=True) + publish(b"a/1", b"held back", 4, dup=True))
        line.subscribed()
        assert await_connected(transport).session_present
        [got] = take(transport, 1)
        assert (got.payload, got.redelivered) == (b"held back", True)
        line.close()


@BOTH
def test_with_the_session_kept_our_copies_are_dropped_and_without_it_they_are_the_last(transport_kind):
    for present in (True, False):
        with talking(transport_kind) as (broker, line, transport):
            line.send(publish(b"a/1", b"first", 1) + publish(b"a/1", b"no answer wanted"))
            eventually(lambda: transport.window_used == 1 and len(transport._ring) == 2, what="messages")
            line.close()
            again = broker.accept()
            again.welcome(present=present)
            assert await_connected(transport).session_present is present
            again.send(publish(b"a/1", b"second", 1, dup=present))
            kept = [] if present else [b"first"]
            got = take(transport, len(kept) + 2)
            assert [d.payload for d in got] == [*kept, b"no answer wanted", b"second"]
            assert transport.connections == 2


@BOTH
def test_an_acknowledgement_never_crosses_a_reconnect(transport_kind):
    with talking(transport_kind) as (broker, line, transport):
        line.send(publish(b"a/1", b"old 1", 1) + publish(b"a/1", b"old 2", 2))
        old = take(transport, 2)
        line.close()
        again = broker.accept()
        again.welcome(present=False)
        again.send(publish(b"a/1", b"new 2", 2) + publish(b"a/1", b"new 3", 3))
        new = take(transport, 2)
        # The broker knows packet id 1 no more, and 2 as another message.
        transport.ack([*[d.token for d in old], new[1].token])
        assert again.acknowledged(1) == [3]
        assert transport.window_used == 1
        transport.ack([new[0].token])
        assert again.acknowledged(1) == [2]


@BOTH
def test_an_acknowledgement_between_two_connections_goes_nowhere(transport_kind):
    with talking(transport_kind) as (broker, line, transport):
        line.send(publish(b"a/1", b"old", 1))
        [old] = take(transport, 1)
        line.close()
        again = broker.accept()
        again.greeted()
        # Connected, not yet taken in: the newest connection that the transport knows is still the old one.
        transport.ack([old.token])
        eventually(lambda: not transport._acks, what="the acknowledgement looked at")
        again.send(connack(present=False))
        again.subscribed()
        await_connected(transport)
        again.send(publish(b"a/1", b"another message of that id", 1))
        [new] = take(transport, 1)
        assert transport.window_used == 1
        transport.ack([new.token])
        assert again.acknowledged(1) == [1]


@BOTH
def test_a_message_never_acknowledged_is_no_longer_in_the_window_of_the_next_connection(transport_kind):
    with talking(transport_kind) as (broker, line, transport):
        line.send(publish(b"a/1", b"x", 1))
        take(transport, 1)
        assert transport.window_used == 1
        line.close()
        broker.accept().welcome(present=True)
        await_connected(transport)
        assert transport.window_used == 0


@BOTH
def test_closing_sends_what_was_acknowledged_before_it_says_goodbye(transport_kind):
    for end_session, wanted in ((False, {b"", b"\0", b"\0\0"}), (True, {b"\0\x05\x11\0\0\0\0"})):
        with talking(transport_kind) as (_, line, transport):
            line.send(b"".join(publish(b"a/1", b"x", mid) for mid in range(1, 301)))
            got = take(transport, 300)
            transport.ack([d.token for d in got])
            transport.close(end_session=end_session)
            *acks, goodbye = line.until_closed()
            assert [int.from_bytes(p.body, "big") for p in acks] == list(range(1, 301))
            assert goodbye.kind == DISCONNECT
            assert goodbye.body in wanted


@BOTH
def test_a_silent_line_is_asked_whether_it_lives(transport_kind):
    with talking(transport_kind, keepalive_s=1.0) as (_, line, transport):
        began_s = monotonic()
        for _ in range(2):
            line.expect(PINGREQ)
            line.send(b"\xd0\x00")
        assert monotonic() - began_s >= 1.5
        assert transport.connections == 1


@BOTH
def test_the_broker_decides_how_long_silence_may_last(transport_kind):
    with scripted() as broker, connecting(transport_kind, broker.url) as transport:
        line = broker.accept()
        line.welcome(properties=b"\x13\x00\x01")
        await_connected(transport)
        began_s = monotonic()
        line.expect(PINGREQ)
        assert monotonic() - began_s < 10
        line.close()


@BOTH
def test_a_line_that_has_died_silently_is_given_up_and_made_anew(transport_kind):
    with talking(transport_kind, keepalive_s=1.0) as (broker, _, transport):
        # The first line stays open and says nothing.
        again = broker.accept()
        assert await_trouble(transport).kind == "broker_disconnected"
        again.welcome(present=True)
        assert await_connected(transport).session_present


@BOTH
@pytest.mark.parametrize(
    ("code", "words"),
    [(0x8E, "Session taken over"), (0x8B, "Server shutting down"), (0x98, "Administrative action")],
)
def test_the_broker_says_why_it_ends_the_connection(transport_kind, code, words):
    with talking(transport_kind) as (broker, line, transport):
        line.send(packet(0xE0, bytes([code, 0])))
        line.close()
        trouble = await_trouble(transport)
        assert (trouble.kind, trouble.detail.lower()) == ("broker_disconnected", words.lower())
        assert not transport.ready
        broker.accept().welcome(present=True)
        await_connected(transport)


@BOTH
def test_a_cut_line_is_told_and_made_anew(transport_kind):
    with talking(transport_kind) as (broker, line, transport):
        line.send(publish(b"a/1", b"whole", 1) + publish(b"a/1", b"half of it", 2)[:9])
        assert take(transport, 1)[0].payload == b"whole"
        line.close()
        assert await_trouble(transport).kind == "broker_disconnected"
        again = broker.accept()
        again.welcome(present=True)
        await_connected(transport)
        again.send(publish(b"a/1", b"whole again", 1))
        assert take(transport, 1)[0].payload == b"whole again"


@BOTH
def test_a_refusal_is_told_with_its_reason_and_asked_again_later(transport_kind):
    with scripted() as broker, connecting(transport_kind, broker.url) as transport:
        for _ in range(2):
            line = broker.accept()
            line.greeted()
            line.send(connack(0x87))
            trouble = await_trouble(transport)
            assert (trouble.kind, trouble.detail.lower()) == ("broker_refused", "not authorized")
            assert line.until_closed() == []
        line = broker.accept()
        line.welcome()
        await_connected(transport)
        assert transport.connections == 1
        line.close()


@BOTH
@pytest.mark.parametrize("grant", [0x87, 0x00], ids=["refused", "QoS 0"])
def test_a_subscription_that_would_lose_messages_is_no_connection(transport_kind, grant):
    with scripted() as broker, connecting(transport_kind, broker.url) as transport:
        line = broker.accept()
        line.greeted()
        line.send(connack())
        line.subscribed(grant)
        assert await_trouble(transport) == ("subscription_refused", "2 filters, first a/#")
        assert not transport.ready
        assert [found.kind for found in line.until_closed()] == [DISCONNECT]
        broker.accept().welcome()
        await_connected(transport)
        for each in broker.lines:
            each.close()


@BOTH
@pytest.mark.parametrize("manner", ["return code 1", "reason 0x84", "hangs up"])
def test_a_broker_of_the_older_mqtt_is_spoken_to_in_its_language(transport_kind, manner):
    with scripted() as broker, connecting(transport_kind, broker.url) as transport:
        line = broker.accept()
        assert line.greeted().body[6] == 5
        if manner != "hangs up":
            line.send(connack(1, v5=False) if manner == "return code 1" else connack(0x84))
        line.close()
        line = broker.accept()
        body = line.greeted().body
        assert (body[6], body[7]) == (4, 0xC0)
        assert body[10:] == text(b"slot") + text(b"us@er") + text(b"pa/ss")
        line.send(connack(present=True, v5=False))
        wanted = line.expect(SUBSCRIBE).body
        assert wanted[2:] == text(b"a/#") + b"\x01" + text(b"b/+") + b"\x01"
        line.send(
            packet(0x90, wanted[:2] + b"\x01\x01") + publish(b"a/1", b"old style", 8, dup=True, v5=False)
        )
        assert await_connected(transport).session_present
        [got] = take(transport, 1)
        assert (got.payload, got.redelivered) == (b"old style", True)
        transport.ack([got.token])
        assert line.acknowledged(1) == [8]
        assert transport.publish("b/1", b"ours")
        assert line.next().body[5:] in {b"\0\x02ours", b"\0\x03ours"}
        transport.close()
        assert [found.kind for found in line.until_closed()] == [DISCONNECT]


@BOTH
def test_a_broker_that_is_not_there_is_looked_for_with_pauses(transport_kind):
    placeholder = ScriptedBroker()
    port, url = placeholder.port, placeholder.url
    placeholder.close()
    with connecting(transport_kind, url) as transport:
        assert await_trouble(transport).kind == "broker_unreachable"
        said = 1
        until_s = monotonic() + 1.0
        while monotonic() < until_s:
            transport.recv_batch(**TAKE)
            said += len(transport.events())
        assert said <= 8  # 0.1, 0.2, 0.4 s ... apart, give or take half
        broker = ScriptedBroker(port=port)
        try:
            broker.accept().welcome()
            await_connected(transport)
        finally:
            broker.close()


def test_a_broker_without_a_window_cannot_fill_our_memory():
    with talking(FastTransport, receive_maximum=10) as (_, line, transport):
        line.sock.settimeout(2.0)
        message = publish(b"a/1", b"x" * 10_000)  # QoS 0 is outside every window
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 5_000:
                line.send(message)
                sent += 1
        held = len(transport._ring)
        assert held < 100  # twice the window, and what one read may bring
        assert sent < 5_000  # the rest is the broker's to keep
        take(transport, sent)


def test_a_message_of_ours_that_the_broker_does_not_take_is_told():
    with scripted() as broker, connecting(FastTransport, broker.url) as transport:
        line = broker.accept()
        line.welcome(properties=b"\x27\x00\x00\x00\x40")
        await_connected(transport)
        assert transport.publish("a/1", b"x" * 100)
        assert await_trouble(transport) == ("publish_refused", "110 bytes, the broker takes 64")
        assert transport.publish("a/1", b"x")
        found = line.next()
        line.send(packet(0x40, found.body[5:7] + b"\x87\x00"))
        assert await_trouble(transport) == ("publish_refused", "Not authorized")
        line.close()


def test_only_so_many_messages_of_ours_wait_for_an_answer():
    with scripted() as broker, connecting(FastTransport, broker.url) as transport:
        line = broker.accept()
        line.welcome(properties=b"\x21\x00\x02")
        await_connected(transport)
        for _ in range(3):
            assert transport.publish("a/1", b"x")
        first = line.next()
        assert await_trouble(transport) == ("publish_refused", "2 messages are unanswered")
        line.next()
        line.send(packet(0x40, first.body[5:7]))
        line.send(publish(b"a/1", b"the answer is in", 1))
        take(transport, 1)
        assert transport.publish("a/1", b"y")
        assert line.next().body.endswith(b"y")
        line.close()


def test_a_broker_that_does_not_stop_talking_cannot_hold_us_back_from_closing():
    with talking(FastTransport) as (_, line, transport):
        closing = threading.Thread(target=transport.close)
        closing.start()
        deadline_s = monotonic() + 20
        with contextlib.suppress(ConnectionError):
            while closing.is_alive() and monotonic() < deadline_s:
                line.send(publish(b"a/1", b"x" * 1_000))
        closing.join(timeout=5)
        assert not closing.is_alive()


def test_connect_is_the_first_packet_of_every_connection():
    with talking(FastTransport) as (broker, line, transport):
        transport.ack([])
        line.close()
        again = broker.accept()
        assert again.next().kind == CONNECT
