"""A command is about the vehicle its device was in, and only so many wait for one device."""

import threading
from datetime import UTC, datetime

from collateral import provisioning
from collateral.bindings import Placement, bind, unbind
from collateral.commands import queue, store
from collateral.commands.domain import MOST_OPEN, Kind
from collateral.domain import Purpose, Role
from core.db.pool import connect
from core.errors import Conflict
from tests.fix_stack import eventually

MOVED = datetime(2026, 11, 20, tzinfo=UTC)


def ask(db, device_id, kind):
    return queue.ask(
        db, device_id, kind, {"parked_s": 600} if kind is Kind.INTERVAL else {},
        purpose=Purpose.SUPPORT, roles=frozenset({Role.ADMIN}), actor="user:1",
    )  # fmt: skip


def online(db, device_id):
    db.execute(
        "INSERT INTO device_status (device_id, online, online_at) VALUES (%s, true, clock_timestamp())",
        (device_id,),
    )


def test_a_command_does_not_follow_its_device_into_another_vehicle(db):
    for device_id in ("moved", "taken-out", "stays"):
        provisioning.add_device(db, device_id, f"car-{device_id}")
        online(db, device_id)
    asked = {
        device_id: [ask(db, device_id, kind) for kind in (Kind.LOCATE, Kind.INTERVAL)]
        for device_id in ("moved", "taken-out", "stays")
    }
    assert len(store.due(db, 100)) == 6
    provisioning.add_device(db, "other", "car-other")
    bind(db, [Placement("moved", "car-other")], at=MOVED)
    assert unbind(db, "taken-out", at=MOVED)
    # Not even in the moment before anybody cancelled it.
    assert {command.device_id for command in store.due(db, 100)} == {"stays"}
    assert store.cancel_moved(db) == 4
    assert store.cancel_moved(db) == 0
    told = queue.command_of(db, asked["moved"][0].command_id)
    assert (told.state, told.ended_by, told.detail) == ("cancelled", "system:commands", "device moved")
    assert queue.command_of(db, asked["stays"][0].command_id).state == "queued"


def test_settings_asked_before_the_device_is_built_in_reach_it_and_looks_do_not(db):
    provisioning.add_device(db, "new")
    online(db, "new")
    locate, interval = ask(db, "new", Kind.LOCATE), ask(db, "new", Kind.INTERVAL)
    assert store.cancel_moved(db) == 0
    provisioning.add_device(db, "other", "car-other")
    bind(db, [Placement("new", "car-other")], at=MOVED)
    assert [command.command_id for command in store.due(db, 100)] == [interval.command_id]
    assert store.cancel_moved(db) == 1
    assert queue.command_of(db, locate.command_id).state == "cancelled"


def test_two_who_ask_at_once_do_not_get_past_the_limit_of_a_device(db, database_url):
    provisioning.add_device(db, "d1")
    for _ in range(MOST_OPEN - 1):
        ask(db, "d1", Kind.LOCATE)
    db.commit()
    outcome = []

    def second():
        with connect(database_url, name="second") as conn:
            try:
                outcome.append(ask(conn, "d1", Kind.LOCATE))
            except Conflict as exc:
                outcome.append(exc.code)

    ask(db, "d1", Kind.LOCATE)
    thread = threading.Thread(target=second)
    thread.start()
    with connect(database_url, name="watch", autocommit=True) as watch:
        eventually(
            lambda: watch.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE '%second%'"
                " AND wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchone(),
            what="the second waiting for the first",
        )
    db.commit()
    thread.join(timeout=30)
    assert outcome == ["too_many_commands"]
