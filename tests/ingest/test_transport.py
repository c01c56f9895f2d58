"""Between the network and the worker: the ring, paho's socket, the broker's address, who is chosen."""

import socket
import threading

import pytest

from core.clock import monotonic
from core.errors import Misconfigured
from core.settings import Settings
from ingest.buffered_socket import BufferedSocket
from ingest.domain import Delivery, Token
from ingest.mqtt.address import parse_url
from ingest.mqtt.chosen import transport_of
from ingest.mqtt.fast_transport import FastTransport
from ingest.paho_transport import PahoTransport
from ingest.ring import Ring


def put(ring, count, connection=1, size=10):
    ring.put_all([Delivery(Token(connection, mid), "t", b"x" * size, monotonic()) for mid in range(count)])


def test_a_batch_is_taken_when_it_is_full_or_its_oldest_has_waited_long_enough():
    ring = Ring()
    put(ring, 30)
    began = monotonic()
    assert len(ring.take(most=20, most_bytes=1 << 20, flush_s=30, wait_s=30)) == 20
    assert monotonic() - began < 5
    assert [
        d.token and d.token.mid for d in ring.take(most=20, most_bytes=1 << 20, flush_s=0.05, wait_s=1)
    ] == [*range(20, 30)]
    assert ring.take(most=20, most_bytes=1 << 20, flush_s=0.05, wait_s=0.01) == []


def test_a_waiting_reader_is_woken_by_the_first_delivery_and_by_a_full_batch():
    ring = Ring()
    taken = []
    reader = threading.Thread(
        target=lambda: taken.extend(ring.take(most=5, most_bytes=1 << 20, flush_s=60, wait_s=60))
    )
    reader.start()
    put(ring, 5)
    reader.join(timeout=20)
    assert len(taken) == 5


def test_a_batch_of_large_payloads_stops_at_its_bytes():
    ring = Ring()
    put(ring, 10, size=100)
    assert len(ring.take(most=10, most_bytes=350, flush_s=0, wait_s=1)) == 4


def test_what_the_broker_will_send_again_is_dropped_and_what_needs_no_answer_is_kept():
    ring = Ring()
    put(ring, 3, connection=1)
    ring.put_all([Delivery(None, "t", b"", monotonic())])
    put(ring, 2, connection=2)
    assert ring.waiting_bytes == 50
    assert ring.drop_before(2) == 3
    assert (len(ring), ring.waiting_bytes) == (3, 20)
    assert len(ring.take(most=10, most_bytes=1 << 20, flush_s=0, wait_s=1)) == 3
    assert ring.waiting_bytes == 0


def test_one_read_of_the_network_serves_many_small_ones_and_answers_leave_together():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    buffered = BufferedSocket(ours)
    with pytest.raises(BlockingIOError):
        buffered.recv(1)
    theirs.sendall(b"abcdef")
    buffered.fill()
    assert (buffered.recv(1), buffered.recv(2), buffered.recv(10)) == (b"a", b"bc", b"def")
    assert not buffered.available
    for piece in (b"1", b"23", b"456"):
        assert buffered.send(piece) == len(piece)
    assert buffered.unsent
    buffered.flush()
    assert (theirs.recv(100), buffered.unsent) == (b"123456", False)
    theirs.close()
    buffered.fill()
    assert buffered.available
    assert buffered.recv(1) == b""
    buffered.close()


def test_a_broker_url_is_taken_apart_and_a_strange_one_is_named():
    found = parse_url("mqtts://us%40er:pa%2Fss@broker.example")
    assert found == ("broker.example", 8883, "us@er", "pa/ss", True)
    assert parse_url("mqtt://h").port == 1883
    for bad in ("http://h", "mqtt://", "h:1883"):
        with pytest.raises(Misconfigured, match="PLEDGEWATCH_MQTT_URL"):
            parse_url(bad)


def test_a_setting_says_who_speaks_mqtt():
    assert transport_of(Settings(ingest_transport="fast")) is FastTransport
    assert transport_of(Settings(ingest_transport="paho")) is PahoTransport
    assert Settings().ingest_transport == "fast"
    with pytest.raises(ValueError, match="ingest_transport"):
        Settings(ingest_transport="pigeon")
