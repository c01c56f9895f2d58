"""Into the yard and out of it: what must be there, who is told, who has the vehicle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from alerts.recovery import intake, moves, photos
from alerts.recovery.store import photos as photo_store
from core.db.pool import Connection, connect
from core.errors import Conflict, NotFound, Rejected
from tests.alerts.recovery.pictures import JPEG, PLACE, PNG, phone_jpeg
from tests.alerts.recovery.stages import ARRIVED, Story, story
from tests.alerts.recovery.test_grounds import refused

pytestmark = pytest.mark.db


def events(conn: Connection) -> list[tuple[str, str, dict[str, object]]]:
    return conn.execute(
        "SELECT kind, subject, payload FROM domain_event WHERE kind LIKE 'case.%' ORDER BY seq"
    ).fetchall()


def test_a_vehicle_is_booked_in_when_intake_photo_and_belongings_are_there(db: Connection):
    one = story(db).reach("recovered")
    assert one.custody == "recovered"
    with refused(Rejected, "intake_missing"), db.transaction():
        one.enter_yard()
    intake.record_intake(db, one.case_id, "user:li", replace(ARRIVED, no_belongings=False))
    with refused(Rejected, "photo_missing"), db.transaction():
        one.enter_yard()
    photos.add_photo(db, one.case_id, "user:li", "front", JPEG, timezone="UTC")
    with refused(Rejected, "belongings_missing"), db.transaction():
        one.enter_yard()
    intake.add_belonging(db, one.case_id, "user:li", "儿童座椅", 1)
    assert events(db) == []
    case = one.enter_yard()
    assert (case.state, one.custody) == ("in_yard", "lender_yard")
    assert case.recovered_at is not None
    assert case.in_yard_at is not None
    (told,) = events(db)
    assert told == (
        "case.in_yard", str(one.case_id),
        {"vehicle_id": "V1", "org_id": "head", "recovered_at": case.recovered_at.isoformat(),
         "in_yard_at": case.in_yard_at.isoformat(), "odometer_km": 61234.5, "received_by": "李库管"},
    )  # fmt: skip
    assert datetime.fromisoformat(str(told[2]["in_yard_at"])).tzinfo is not None


def test_an_inventory_may_be_empty_when_somebody_says_so(db: Connection):
    one = story(db).reach("recovered")
    one.prepare_yard()
    with refused(Conflict, "stated_empty"), db.transaction():
        intake.add_belonging(db, one.case_id, "user:li", "雨伞", 1)
    intake.record_intake(db, one.case_id, "user:li", replace(ARRIVED, no_belongings=False))
    intake.add_belonging(db, one.case_id, "user:li", "雨伞", 1)
    with refused(Rejected, "belongings_on_record"), db.transaction():
        intake.record_intake(db, one.case_id, "user:li", ARRIVED)
    assert one.enter_yard().state == "in_yard"


def test_an_intake_with_figures_that_cannot_be_is_refused(db: Connection):
    one = story(db).reach("recovered")
    for change, code in (
        ({"odometer_km": -1.0}, "bad_odometer"), ({"odometer_km": float("nan")}, "bad_odometer"),
        ({"odometer_km": float("inf")}, "bad_odometer"), ({"keys_count": 21}, "bad_keys"),
        ({"keys_count": -1}, "bad_keys"), ({"received_by": " "}, "names_missing"),
    ):  # fmt: skip
        with refused(Rejected, code), db.transaction():
            intake.record_intake(db, one.case_id, "user:li", replace(ARRIVED, **change))
    with refused(NotFound, "yard_not_found"), db.transaction():
        intake.record_intake(db, one.case_id, "user:li", replace(ARRIVED, yard_id="nowhere"))
    for item, quantity, code in (
        (" ", 1, "item_missing"),
        ("x", 0, "bad_quantity"),
        ("x", 10_000, "bad_quantity"),
    ):
        with refused(Rejected, code), db.transaction():
            intake.add_belonging(db, one.case_id, "user:li", item, quantity)
    assert db.execute("SELECT count(*) FROM yard_intake").fetchone() == (0,)


def test_things_are_given_back_once_and_missing_ones_are_warned_about(db: Connection):
    one = story(db).reach("recovered")
    seat = intake.add_belonging(db, one.case_id, "user:li", "儿童座椅", 1)
    intake.add_belonging(db, one.case_id, "user:li", "雨伞", 2)
    with refused(Rejected, "names_missing"), db.transaction():
        intake.return_belonging(db, one.case_id, seat.belonging_id, "user:li", " ")
    back = intake.return_belonging(db, one.case_id, seat.belonging_id, "user:li", "抵押人本人")
    assert back.returned_to == "抵押人本人"
    with refused(Conflict, "already_returned"), db.transaction():
        intake.return_belonging(db, one.case_id, seat.belonging_id, "user:li", "another")
    with pytest.raises(NotFound), db.transaction():
        intake.return_belonging(db, one.case_id, 10**9, "user:li", "somebody")
    one.release()
    assert db.execute("SELECT text FROM case_entry WHERE kind = 'warning'").fetchall() == [("雨伞",)]


@pytest.mark.parametrize("kind", ["released", "redeemed"])
@pytest.mark.parametrize("state", ["recovered", "in_yard"])
def test_a_released_vehicle_is_told_and_leaves_our_custody(db: Connection, state: str, kind: str):
    one = story(db).reach(state)
    with refused(Rejected, "reason_missing"), db.transaction():
        moves.release(db, one.case_id, "user:li", kind=kind, reason=" ")
    with refused(Rejected, "bad_release"), db.transaction():
        moves.release(db, one.case_id, "user:li", kind="given away", reason="x")
    one.release(kind)
    assert (one.case.state, one.custody) == ("released", "released")
    assert one.case.released_at is not None
    assert events(db)[-1] == ("case.released", str(one.case_id), {"vehicle_id": "V1", "reason": kind})


def test_a_photo_is_kept_once_without_its_place_and_only_while_somebody_has_the_vehicle(db: Connection):
    one = story(db)
    with refused(Conflict, "bad_state"), db.transaction():
        photos.add_photo(db, one.case_id, "user:li", "front", JPEG, timezone="UTC")
    one.reach("dispatched")
    photo, new = photos.add_photo(db, one.case_id, "user:li", "front", phone_jpeg(), timezone="UTC")
    again, new_again = photos.add_photo(db, one.case_id, "user:wang", "rear", phone_jpeg(), timezone="UTC")
    assert (new, new_again, again) == (True, False, photo)
    found = photo_store.photo_content(db, one.case_id, photo.photo_id)
    assert found is not None
    assert found[0] == "image/jpeg"
    assert PLACE not in found[1]
    assert photo.taken_at is not None
    with refused(Rejected, "bad_photo_kind"), db.transaction():
        photos.add_photo(db, one.case_id, "user:li", "selfie", PNG, timezone="UTC")
    with refused(Rejected, "photo_truncated"), db.transaction():
        photos.add_photo(db, one.case_id, "user:li", "front", JPEG[:-40], timezone="UTC")
    other = story(db, "V2").reach("dispatched")
    assert photo_store.photo_content(db, other.case_id, photo.photo_id) is None


def test_of_two_people_who_move_a_case_at_once_the_second_is_told(db: Connection, database_url: str):
    one = story(db).reach("dispatched")
    db.commit()
    outcomes: list[str] = []
    gate = threading.Barrier(2)

    def at_once(act: Callable[[Story], object]) -> None:
        with connect(database_url, name="second") as conn:
            gate.wait()
            try:
                act(Story(conn, one.case_id))
                conn.commit()
                outcomes.append("done")
            except Conflict as refusal:
                outcomes.append(refusal.code)

    acts: tuple[Callable[[Story], object], ...] = (Story.recover, Story.release)
    for act in acts:
        outcomes.clear()
        threads = [threading.Thread(target=at_once, args=(act,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(outcomes) == ["bad_edge", "done"]
    assert db.execute("SELECT count(*) FROM recovery_dispatch WHERE outcome = 'recovered'").fetchone() == (1,)
