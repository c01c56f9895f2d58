"""Terminal over TCP -> gateway process -> Mosquitto -> ingest -> row; what a terminal was told is stored."""

import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from collateral.commands import queue
from collateral.commands.domain import Kind
from collateral.domain import Purpose, Role
from core.clock import wall_now
from core.db.pool import connect
from simulator.terminals.jt808 import location
from tests.fix_gateway import GatewayRig
from tests.fix_stack import eventually

REPORTS = 120


@pytest.fixture
def rig(ingest_rig, tmp_path):
    gateway = GatewayRig(ingest_rig.database_url, ingest_rig.broker, tmp_path)
    yield gateway
    gateway.close()


def drive(number):
    """Return (moment, lat, lon, speed, body) of a drive that is this terminal's own."""
    began = wall_now().replace(microsecond=0) - timedelta(minutes=40)
    points = []
    for step in range(REPORTS):
        moment = began + timedelta(seconds=10 * step)
        lat, lon, speed = 31.0 + number / 10 + step / 5000, 121.0 + step / 5000, 30.0 + step % 7
        alarm = 1 << 8 if step == 50 else 0
        body = location(moment, lat, lon, alarm=alarm, speed_kmh=speed, heading_deg=step % 360)
        points.append(((moment, round(lat, 6), round(lon, 6), speed, ["power_cut"] if alarm else []), body))
    return points


def test_no_report_that_a_terminal_was_told_is_safe_gets_lost_when_gateway_and_broker_go_down(
    ingest_rig, rig
):
    numbers = ["13900000001", "13900000002", "13900000003"]
    for number in numbers:
        rig.enrol(number, f"e2e-{number}")
    ingest_rig.start_and_wait()
    rig.start()
    terminals = [rig.terminal(number, version=1 if number == numbers[2] else None) for number in numbers]
    drives = [drive(place) for place in range(len(numbers))]

    def deliver(place, begin, end):
        return terminals[place].deliver([body for _, body in drives[place][begin:end]], within_s=60)

    with ThreadPoolExecutor(len(numbers)) as pool:

        def all_deliver(begin, end):
            return [pool.submit(deliver, place, begin, end) for place in range(len(numbers))]

        def nothing_left(futures):
            assert [future.result(timeout=70) for future in futures] == [[]] * len(numbers)

        nothing_left(all_deliver(0, 30))

        # The gateway dies with reports in its hands: those it never answered come again.
        running = all_deliver(30, 75)
        rig.processes[-1].kill()
        rig.processes[-1].wait(timeout=20)
        rig.start()
        nothing_left(running)

        # The broker restarts. The gateway is frozen until ingest's session is back: Mosquitto 2.0 loses what
        # comes between (window W1 of docs/operations.md), which is not what this test is about.
        running = all_deliver(75, REPORTS)
        before = ingest_rig.ask("SELECT max(connected_at) FROM ingest_slot")[0][0]
        rig.processes[-1].send_signal(signal.SIGSTOP)
        ingest_rig.broker.embedded.stop()
        ingest_rig.broker.embedded.start()
        eventually(
            lambda: ingest_rig.ask("SELECT slot FROM ingest_slot WHERE connected_at > %s", before),
            within_s=60,
            what="ingest's session after the restart",
        )
        rig.processes[-1].send_signal(signal.SIGCONT)
        nothing_left(running)

    def stored():
        rows = ingest_rig.ask(
            "SELECT device_id, t, lat, lon, speed_kmh, alarms FROM telemetry ORDER BY device_id, t"
        )
        return rows if len(rows) >= len(numbers) * REPORTS else None

    rows = eventually(stored, within_s=30, what="all rows")
    expected = [
        (f"e2e-{number}", moment, lat, lon, speed, alarms)
        for number, points in zip(numbers, drives, strict=True)
        for (moment, lat, lon, speed, alarms), _ in points
    ]
    assert [(*row[:2], round(row[2], 6), round(row[3], 6), *row[4:]) for row in rows] == expected
    assert ingest_rig.ask("SELECT count(*) FROM quarantine") == [(0,)]
    assert ingest_rig.ask("SELECT count(*) FROM dead_letter") == [(0,)]

    # A command of the queue goes down to the terminal, and its answer ends it.
    with connect(ingest_rig.database_url, name="test") as conn:
        asked = queue.ask(
            conn, "e2e-13900000001", Kind.LOCATE, {},
            purpose=Purpose.TEST, roles=frozenset({Role.ADMIN}), actor="test",
        )  # fmt: skip
    said = next(one for one in iter(lambda: terminals[0].hear(20), None) if one.msg_id == 0x8201)
    place = location(wall_now().replace(microsecond=0), 31.5, 121.5)
    assert (
        terminals[0].answer_to(terminals[0].send(0x0201, said.serial.to_bytes(2, "big") + place), 0x0201) == 0
    )
    state = "SELECT state FROM device_command WHERE command_id = %s"
    eventually(lambda: ingest_rig.ask(state, asked.command_id) == [("done",)], what="the command's end")

    # Alarms without a date, and what cannot be read, are stored apart.
    assert terminals[0].deliver([location(None, alarm=1 << 8), b"seven b"], within_s=20) == []
    ask = "SELECT type, alarms FROM telemetry_undated ORDER BY type"
    undated = eventually(lambda: len(found := ingest_rig.ask(ask)) == 2 and found, what="two undated reports")
    assert undated == [("alarm", ["power_cut"]), ("unreadable", [])]
