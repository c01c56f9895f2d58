"""Who may speak: registration, codes, revocation, and a number that somebody else takes."""

import contextlib
from datetime import UTC, datetime

import pytest

from collateral import provisioning
from core.db.pool import connect
from core.errors import Unavailable
from simulator.terminals.jt808 import location
from tests.fix_gateway import await_reports, heard_of, sent_away
from tests.fix_stack import eventually

OK, FAILED, UNSUPPORTED = 0, 1, 3
NOON = datetime(2026, 11, 22, 4, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("version", [None, 1])
def test_a_terminal_registers_signs_in_and_reports_in_its_own_version(gateway_rig, version):
    rig = gateway_rig
    device_id, number = f"reg-{version}", f"1391234567{version or 0}"
    rig.enrol(number, device_id)
    heard = rig.listener("telemetry", "status")
    rig.run()
    terminal = rig.terminal(number, version=version)
    terminal.connect()
    assert terminal.register() == OK
    assert terminal.sign_in() == OK
    assert terminal.answer_to(terminal.send(0x0002), 0x0002) == OK
    assert terminal.answer_to(terminal.send(0x0200, location(NOON, speed_kmh=43.5)), 0x0200) == OK
    [report] = await_reports(heard, device_id, 1)
    assert (report["type"], report["fix_time"], report["speed_kmh"]) == (
        "position",
        "2026-11-22T04:00:00Z",
        43.5,
    )
    assert (report["boot_id"], report["lat"], report["lon"]) == (0, 31.230416, 121.473701)
    terminal.hang_up()
    eventually(
        lambda: [said["online"] for said in heard_of(heard, device_id, "status")] == [True, False],
        what="online, then offline",
    )
    code_hash = rig.ask("SELECT code_hash FROM jt808_terminal WHERE terminal_no = %s", number)[0][0]
    assert code_hash.startswith("$7$")
    assert terminal.code not in code_hash


def test_what_comes_before_sign_in_is_answered_failed_and_never_published(gateway_rig):
    rig = gateway_rig
    rig.enrol("139001", "early-bird")
    heard = rig.listener()
    rig.run()
    terminal = rig.terminal("139001")
    terminal.connect()
    assert terminal.answer_to(terminal.send(0x0200, location(NOON)), 0x0200) == FAILED
    assert terminal.sign_in() == FAILED
    assert terminal.register() == OK
    terminal.code, right = "0" * 20, terminal.code
    assert terminal.sign_in() == FAILED
    terminal.code = right
    assert terminal.sign_in() == OK
    assert terminal.answer_to(terminal.send(0x0200, location(NOON)), 0x0200) == OK
    await_reports(heard, "early-bird", 1)


def test_a_number_that_is_not_enrolled_gets_no_code_and_is_sent_away_after_some_tries(gateway_rig):
    rig = gateway_rig
    rig.run()
    terminal = rig.terminal("139002")
    terminal.connect()
    assert terminal.register() == 4
    assert terminal.sign_in() == FAILED
    with contextlib.suppress(OSError, Unavailable):
        for _ in range(20):
            terminal.send(0x0200, location(NOON))
    assert sent_away(terminal)


def test_another_device_cannot_take_a_number_over_but_the_same_one_may_register_again(gateway_rig):
    rig = gateway_rig
    rig.enrol("139003", "pinned")
    rig.run()
    terminal = rig.terminal("139003")
    assert terminal.enter()
    first = terminal.code
    thief = rig.terminal("139003", terminal_id="OTHER01")
    thief.connect()
    assert thief.register() == 3
    terminal.code = None  # a reset: this kind registers each time
    assert terminal.enter()
    assert terminal.code != first
    thief.connect()
    thief.code = first
    assert thief.sign_in() == FAILED


def test_a_code_set_by_hand_opens_and_cannot_be_replaced_over_the_network(gateway_rig):
    rig = gateway_rig
    rig.enrol("139004", "by-hand", code="车队-0042")
    rig.run()
    stranger = rig.terminal("139004")
    stranger.connect()
    assert stranger.register() == 3
    terminal = rig.terminal("139004", code="车队-0042")
    assert terminal.enter()


def test_revocation_cuts_the_session_and_the_terminal_stays_out(gateway_rig):
    rig = gateway_rig
    rig.enrol("139005", "revoked-one")
    rig.run()
    terminal = rig.terminal("139005")
    assert terminal.enter()
    with connect(rig.database_url, name="test") as conn:
        provisioning.revoke(conn, "revoked-one")
    assert sent_away(terminal)
    terminal.connect()
    assert terminal.sign_in() == FAILED
    assert terminal.register() == 4


def test_a_second_connection_of_a_terminal_ends_the_first_and_unregistering_ends_its_code(gateway_rig):
    rig = gateway_rig
    rig.enrol("139006", "twice")
    rig.run()
    first = rig.terminal("139006")
    assert first.enter()
    second = rig.terminal("139006", code=first.code)
    assert second.enter()
    assert sent_away(first)
    assert second.answer_to(second.send(0x0003), 0x0003) == OK
    second.connect()
    assert second.sign_in() == FAILED


def test_two_numbers_on_one_connection_and_messages_we_do_not_speak(gateway_rig):
    rig = gateway_rig
    rig.enrol("139007", "one-of-two")
    rig.run()
    terminal = rig.terminal("139007")
    assert terminal.enter()
    assert terminal.answer_to(terminal.send(0x0900, b"\x41obd"), 0x0900) == UNSUPPORTED
    assert terminal.answer_to(terminal.send(0x0801, b"picture", packet=(9, 1)), 0x0801) == UNSUPPORTED
    terminal.number = "139008"
    terminal.send(0x0200, location(NOON))
    assert sent_away(terminal)
