"""A report is answered when the broker has it, and not before; bulk uploads, packets and repeats."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from core.topics import build, default_shard
from ingest.gateways import publishing
from ingest.gateways.jt808.limits import Limits
from simulator.terminals.jt808 import bulk, frame, location
from tests.fix_gateway import await_reports, heard_of, sent_away
from tests.fix_stack import eventually

OK, FAILED, BAD = 0, 1, 2
NOON = datetime(2026, 11, 22, 4, 0, 0, tzinfo=UTC)


def entered(rig, number, device_id, **options):
    rig.enrol(number, device_id, **options)
    if not rig.port:
        rig.run()
    terminal = rig.terminal(number)
    assert terminal.enter()
    return terminal


def track(count):
    return [
        location(NOON + timedelta(seconds=10 * step), 31.2 + step / 1000, speed_kmh=40)
        for step in range(count)
    ]


def test_nobody_listening_is_no_success_and_the_repeat_is_answered_once_somebody_does(gateway_rig):
    rig = gateway_rig
    terminal = entered(rig, "139101", "unheard")
    [body] = track(1)
    assert terminal.answer_to(terminal.send(0x0200, body), 0x0200, within_s=0.6) is None
    heard = rig.listener()
    assert terminal.answer_to(terminal.send(0x0200, body), 0x0200) == OK
    await_reports(heard, "unheard", 1)


def test_a_bulk_upload_from_the_blind_zone_is_one_answer_and_each_report_says_buffered(gateway_rig):
    rig = gateway_rig
    heard = rig.listener()
    terminal = entered(rig, "139102", "blind")
    bodies = track(12)
    assert terminal.answer_to(terminal.send(0x0704, bulk(bodies, blind_zone=True)), 0x0704) == OK
    found = await_reports(heard, "blind", 12)
    assert [report["buffered"] for report in found] == [True] * 12
    assert len({report["seq"] for report in found}) == 12
    assert terminal.answer_to(terminal.send(0x0704, bulk(bodies[:2], blind_zone=False)), 0x0704) == OK
    assert "buffered" not in await_reports(heard, "blind", 14)[-1]
    assert terminal.answer_to(terminal.send(0x0704, bulk([], blind_zone=True)), 0x0704) == OK


def test_a_damaged_bulk_upload_is_answered_bad_after_all_that_could_be_read_was_kept(gateway_rig):
    rig = gateway_rig
    heard = rig.listener()
    terminal = entered(rig, "139103", "damaged")
    body = bulk(track(3), blind_zone=True)
    assert terminal.answer_to(terminal.send(0x0704, body[:-5]), 0x0704) == BAD
    found = await_reports(heard, "damaged", 3)
    assert [report["type"] for report in found] == ["position", "position", "unreadable"]
    assert found[-1]["body_bytes"] == len(body) - 5
    assert terminal.answer_to(terminal.send(0x0200, b"short"), 0x0200) == OK
    assert await_reports(heard, "damaged", 4)[-1]["body"] == b"short".hex()


def test_a_long_upload_in_packets_is_answered_packet_by_packet_when_the_whole_is_safe(gateway_rig):
    rig = gateway_rig
    heard = rig.listener()
    terminal = entered(rig, "139104", "packets")
    whole = bulk(track(60), blind_zone=True)
    parts = [whole[at : at + 700] for at in range(0, len(whole), 700)]
    serials = [
        terminal.send(0x0704, part, packet=(len(parts), index))
        for index, part in enumerate(parts[:-1], start=1)
    ]
    assert terminal.hear(0.3) is None
    serials.append(terminal.send(0x0704, parts[-1], packet=(len(parts), len(parts))))
    answered = [terminal.hear() for _ in parts]
    assert [int.from_bytes(said.body[:2], "big") for said in answered] == serials
    assert {said.body[4] for said in answered} == {OK}
    await_reports(heard, "packets", 60)


def test_a_packet_that_did_not_come_is_asked_for_and_completes_the_message(gateway_rig):
    rig = gateway_rig
    heard = rig.listener()
    rig.run(Limits(packets_ask_s=0.5))
    terminal = entered(rig, "139105", "one-missing")
    whole = bulk(track(30), blind_zone=True)
    first = 500
    terminal.send_raw(frame(0x0704, "139105", first + 1, whole[500:], packet=(2, 2)))
    said = terminal.hear(5)
    assert (said.msg_id, said.body) == (0x8003, first.to_bytes(2, "big") + b"\x01\x00\x01")
    terminal.send_raw(frame(0x0704, "139105", first, whole[:500], packet=(2, 1)))
    assert terminal.answer_to(first, 0x0704) == OK
    await_reports(heard, "one-missing", 30)


def test_many_reports_at_once_wait_for_their_turn_and_every_one_is_answered(gateway_rig):
    rig = gateway_rig
    heard = rig.listener()
    terminal = entered(rig, "139106", "hasty")
    bodies = track(300)
    serials = {terminal.send(0x0200, body) for body in bodies}
    answered: set[int] = set()
    while len(answered) < len(serials):
        said = terminal.hear(5)
        assert said is not None, f"{len(answered)} of {len(serials)} answered"
        assert said.body[4] == OK
        answered.add(int.from_bytes(said.body[:2], "big"))
    assert answered == serials
    assert len({report["seq"] for report in await_reports(heard, "hasty", 300)}) == 300


def test_commands_reach_the_terminal_and_its_answers_come_back(gateway_rig):
    rig = gateway_rig
    heard = rig.listener("telemetry", "cmdack")
    terminal = entered(rig, "139107", "ordered")
    wait = acks_of(heard, "ordered")
    await_commands(rig, heard, "ordered")
    locate = str(uuid4())
    rig.command(heard, "ordered", "locate", id=locate)
    said = terminal.hear(5)
    assert (said.msg_id, said.body) == (0x8201, b"")
    terminal.send(0x0201, said.serial.to_bytes(2, "big") + track(1)[0])
    assert wait(locate) == ("done", "")
    await_reports(heard, "ordered", 1)
    for kind, params, msg_id, body, result, outcome in [
        ("track", {"interval_s": 10, "duration_s": 600}, 0x8202, "000a00000258", OK, ("done", "")),
        ("track", {"interval_s": 0, "duration_s": 60}, 0x8202, "0000", OK, ("done", "")),
        ("interval", {"moving_s": 20, "sleep_s": 3600}, 0x8103,
         "02000000270400000e10000000290400000014", OK, ("done", "")),
        ("reboot", {}, 0x8105, "04", FAILED, ("refused", "failed")),
    ]:  # fmt: skip
        id = str(uuid4())
        rig.command(heard, "ordered", kind, id=id, params=params)
        said = next(one for one in iter(lambda: terminal.hear(5), None) if one.msg_id == msg_id)
        assert said.body.hex() == body
        terminal.send(0x0001, said.serial.to_bytes(2, "big") + msg_id.to_bytes(2, "big") + bytes([result]))
        assert wait(id) == outcome


def test_commands_out_of_date_or_of_no_kind_are_refused_and_a_repeated_one_is_answered_from_memory(
    gateway_rig,
):
    rig = gateway_rig
    heard = rig.listener("telemetry", "cmdack")
    terminal = entered(rig, "139108", "refusing")
    wait = acks_of(heard, "refusing")
    await_commands(rig, heard, "refusing")
    rig.command(heard, "refusing", "locate", id="late", expires_at="2026-01-01T00:00:00Z")
    assert wait("late") == ("refused", "expired")
    rig.command(heard, "refusing", "explode", id="odd")
    assert wait("odd")[0] == "refused"
    rig.command(heard, "refusing", "track", id="wrong", params={"interval_s": -1})
    assert wait("wrong")[1].startswith("bad_params")
    rig.command(heard, "refusing", "interval", id="parked", params={"moving_s": 10, "parked_s": 10})
    assert "parked_s" in wait("parked")[1]
    heard.publish(build(default_shard("refusing"), "refusing", "cmd"), b"not json")
    rig.command(heard, "refusing", "reboot", id="once")
    said = next(one for one in iter(lambda: terminal.hear(5), None) if one.msg_id == 0x8105)
    rig.command(heard, "refusing", "reboot", id="once")
    terminal.send(0x0001, said.serial.to_bytes(2, "big") + b"\x81\x05\x00")
    assert wait("once") == ("done", "")
    rig.command(heard, "refusing", "reboot", id="once")
    assert wait("once", times=2) == ("done", "")
    assert terminal.hear(0.3) is None  # it rebooted once


def await_commands(rig, talker, device_id):
    """Wait until the gateway listens to a terminal's commands: it subscribes when the terminal has entered."""

    def answered():
        rig.command(talker, device_id, "locate", id="there", expires_at="2026-01-01T00:00:00Z")
        return any(ack["id"] == "there" for ack in heard_of(talker, device_id, "cmdack"))

    eventually(answered, what="an answer to a command")


def acks_of(talker, device_id):
    def wait(id, times=1):
        def there():
            found = [ack for ack in heard_of(talker, device_id, "cmdack") if ack["id"] == id]
            return found if len(found) >= times else None

        ack = eventually(there, what=f"the acknowledgement of {id}")[-1]
        assert (ack["v"], ack["device_id"]) == (1, device_id)
        return ack["state"], ack["detail"]

    return wait


def test_when_the_broker_may_hold_only_few_messages_everybody_waits_in_turn_and_is_answered(
    gateway_rig, monkeypatch
):
    monkeypatch.setattr(publishing, "MOST_WAITING", 3)
    rig = gateway_rig
    heard = rig.listener()
    terminals = [entered(rig, f"13912{place}", f"crowd-{place}") for place in range(4)]
    sent = [{terminal.send(0x0200, body) for body in track(80)} for terminal in terminals]
    for terminal, serials in zip(terminals, sent, strict=True):
        while serials:
            said = terminal.hear(10)
            assert said is not None, f"{len(serials)} without an answer"
            serials.discard(int.from_bytes(said.body[:2], "big"))
    for place in range(4):
        await_reports(heard, f"crowd-{place}", 80)


def test_terminals_that_wait_too_long_for_room_are_sent_away_to_buffer(
    gateway_rig, fresh_broker, monkeypatch
):
    monkeypatch.setattr(publishing, "MOST_WAITING", 3)
    rig = gateway_rig
    rig.broker = fresh_broker
    rig.run(Limits(broker_patience_s=1.5))
    first, second = entered(rig, "139131", "in-hand"), entered(rig, "139132", "in-line")
    fresh_broker.embedded.stop()
    for body in track(6):
        first.send(0x0200, body)
    second.send(0x0200, track(1)[0])
    assert sent_away(second)
    assert sent_away(first)
    fresh_broker.embedded.start()
