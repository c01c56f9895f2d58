"""A slow or hostile peer costs little, and the others go on."""

import contextlib
import random
import resource
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import monotonic
from core.errors import Unavailable
from ingest.gateways.jt808.limits import Limits
from simulator.terminals.jt808 import bulk, frame, location, registration, wrap
from tests.fix_gateway import sent_away
from tests.fix_stack import eventually
from tests.ingest.gateways.jt808.test_delivery import entered, track

OK = 0
NOON = datetime(2026, 11, 22, 4, 0, 0, tzinfo=UTC)


def closed_by_peer(peer, within_s=10.0):
    peer.settimeout(within_s)
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while peer.recv(4096):
            pass
    return True


def threads():
    return len(list(Path("/proc/self/task").iterdir()))


def test_a_flood_of_connections_ends_at_the_limit_and_terminals_still_come_in(gateway_rig):
    rig = gateway_rig
    rig.run(Limits(connections=60, strangers=20, strangers_per_address=100))
    rig.listener()
    terminal = entered(rig, "139201", "in-the-flood")
    before = threads()
    with contextlib.ExitStack() as opened:
        peers = []
        for _ in range(300):
            peer = opened.enter_context(socket.create_connection(("127.0.0.1", rig.port), timeout=5))
            peers.append(peer)
        [closed_by_peer(peer) for peer in peers[:200]]
        assert terminal.answer_to(terminal.send(0x0200, location(NOON)), 0x0200) == OK
        newcomer = rig.terminal("139201", code=terminal.code)
        assert newcomer.enter()
    assert threads() <= before + 2


def test_one_address_cannot_take_all_places_of_strangers(gateway_rig):
    rig = gateway_rig
    rig.run(Limits(strangers_per_address=5))
    with contextlib.ExitStack() as opened:
        peers = [
            opened.enter_context(socket.create_connection(("127.0.0.1", rig.port), timeout=5))
            for _ in range(8)
        ]
        assert all(closed_by_peer(peer) for peer in peers[5:])
        peers[0].settimeout(0.2)
        with pytest.raises(TimeoutError):
            peers[0].recv(1)


def test_strangers_who_do_not_sign_in_and_terminals_that_fall_silent_are_sent_away(gateway_rig):
    rig = gateway_rig
    rig.run(Limits(sign_in_s=0.5, idle_s=1.5))
    terminal = entered(rig, "139202", "silent")
    with socket.create_connection(("127.0.0.1", rig.port), timeout=5) as drip:
        began_s = monotonic()
        with contextlib.suppress(OSError):
            while monotonic() - began_s < 5:  # one byte of a frame after the other: no frame ever ends
                drip.sendall(b"\x7e\x02"[:1] if monotonic() - began_s < 0.1 else b"\x02")
                drip.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    if drip.recv(1) == b"":
                        break
        assert monotonic() - began_s < 4
    assert sent_away(terminal)


@pytest.mark.parametrize(
    "greeting",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 30,
        b"\x16\x03\x01" * 400,
        b"\x7e" + b"x" * 60_000,
        b"\x7eab\x7e" * 20,
    ],
)
def test_peers_that_speak_something_else_are_sent_away_at_once(gateway_rig, greeting):
    rig = gateway_rig
    rig.run(Limits(sign_in_s=3))
    with socket.create_connection(("127.0.0.1", rig.port), timeout=5) as peer:
        with contextlib.suppress(OSError):
            peer.sendall(greeting)
        assert closed_by_peer(peer, within_s=5)


def test_a_terminal_that_reads_no_answers_is_held_and_then_sent_away(gateway_rig):
    rig = gateway_rig
    rig.run(Limits(write_stall_s=1.0, write_high_bytes=1024))
    terminal = entered(rig, "139203", "deaf")
    raw = terminal._socket
    assert raw is not None
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    raw.settimeout(1.0)
    beat = frame(0x0002, "139203", 1) * 200
    sent = 0
    with contextlib.suppress(OSError):
        while sent < 200_000_000:
            sent += raw.send(beat)
    assert sent < 20_000_000  # the brake held: what kernels buffer, and no more
    eventually(lambda: _is_cut(raw), within_s=15, what="the end of the deaf connection")


def _is_cut(raw):
    try:
        raw.settimeout(0.5)
        raw.sendall(b"\x7e\x7e" * 1000)
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


def test_while_the_broker_is_away_reports_wait_within_bounds_and_the_terminal_is_sent_away(
    gateway_rig, fresh_broker
):
    rig = gateway_rig
    rig.broker = fresh_broker
    rig.listener()
    rig.run(Limits(broker_patience_s=2.0, pending_reports=8))
    terminal = entered(rig, "139204", "patient")
    fresh_broker.embedded.stop()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(OSError):
        terminal._socket.settimeout(2.0)
        for _ in range(300):
            terminal.send_raw(frame(0x0704, "139204", 7, bulk(track(20), blind_zone=True)))
    assert sent_away(terminal)
    assert all(said.body[2:4] != b"\x07\x04" for said in terminal.said if said.msg_id == 0x8001)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 50_000
    fresh_broker.embedded.start()


CORPUS = [
    frame(0x0100, "139205", 1, registration()),
    frame(0x0102, "139205", 2, b"0123456789"),
    frame(0x0002, "139205", 3),
    frame(0x0200, "139205", 4, location(NOON, items=[(1, bytes(4)), (0x56, b"\x05\x00")])),
    frame(0x0704, "139205", 5, bulk(track(3), blind_zone=True)),
    frame(0x0704, "139205", 6, bulk(track(3), blind_zone=True)[:40], packet=(3, 1)),
    frame(0x0201, "139205", 7, b"\x00\x01" + location(NOON)),
    frame(0x0001, "139205", 8, b"\x00\x01\x82\x01\x00"),
    frame(0x0200, "139205", 9, location(NOON), version=1),
    frame(0x0200, "139205", 10, location(NOON), attributes=1 << 10),
]


def mutated(rng):
    """Return frames with some bytes changed, cut or repeated; sometimes with a right checksum again."""
    content = bytearray(rng.choice(CORPUS)[1:-2])
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(content))
        match rng.randrange(4):
            case 0:
                content[place] = rng.randrange(256)
            case 1:
                del content[place : place + rng.randint(1, 8)]
            case 2:
                content[place:place] = content[: rng.randint(1, 30)]
            case _:
                content[place] ^= 1 << rng.randrange(8)
        if not content:
            content = bytearray(b"\x00")
    return wrap(bytes(content)) if rng.random() < 0.8 else b"\x7e" + bytes(content) + b"\x7e"


def test_mutated_frames_from_strangers_and_from_a_terminal_never_stop_the_gateway(gateway_rig, caplog):
    rig = gateway_rig
    rig.listener()
    rig.run(Limits(bad_frames=10_000))
    terminal = entered(rig, "139205", "fuzzed")
    rng = random.Random(808)
    until_s = monotonic() + 2.5
    while monotonic() < until_s:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", rig.port), timeout=2) as peer,
        ):
            peer.sendall(b"".join(mutated(rng) for _ in range(rng.randint(1, 8))))
        try:
            for _ in range(20):
                terminal.send_raw(mutated(rng))
            terminal.hear(0.005)
        except (OSError, Unavailable):
            assert terminal.enter() or terminal.register() is not None
    survivor = rig.terminal("139205")
    assert survivor.enter()
    assert survivor.answer_to(survivor.send(0x0200, location(NOON)), 0x0200) == OK
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=400), min_size=1, max_size=6))
def test_any_bytes_at_all_end_in_an_answer_or_a_closed_connection(gateway_rig, chunks):
    rig = gateway_rig
    if not rig.gateways:
        rig.run(Limits(sign_in_s=30))
    with socket.create_connection(("127.0.0.1", rig.port), timeout=5) as peer, contextlib.suppress(OSError):
        for chunk in chunks:
            peer.sendall(b"\x7e" + chunk + b"\x7e")
    assert rig.gateways[0].thread.is_alive()
