"""Crew links: told once, kept as a hash, ended by time, by hand and by the end of the task."""

from __future__ import annotations

import pytest

from alerts.recovery import links
from alerts.recovery.store import links as store
from core.db.pool import Connection
from core.errors import Conflict, NotFound, Rejected
from tests.alerts.recovery.stages import story
from tests.alerts.recovery.test_grounds import refused

pytestmark = pytest.mark.db


def test_a_link_is_made_for_a_crew_that_is_out_and_kept_as_a_hash(db: Connection):
    one = story(db)
    for state in ("new", "locating"):
        if state == "locating":
            one.ground()
            one.locate()
        with refused(Conflict, "bad_state"), db.transaction():
            links.create_link(db, one.case_id, "user:li", "张队", 12)
    one.dispatch()
    for crew, hours, code in (
        (" ", 12, "crew_missing"),
        ("张队", 0, "bad_lifetime"),
        ("张队", 73, "bad_lifetime"),
    ):
        with refused(Rejected, code), db.transaction():
            links.create_link(db, one.case_id, "user:li", crew, hours)
    link, token = links.create_link(db, one.case_id, "user:li", "张队", 72)
    assert token.startswith("pwc_")
    assert len(token) >= 47, "256 bits in base64"
    assert links.find_link(db, token) == link
    assert links.find_link(db, token + "x") is None
    for row in db.execute("SELECT to_jsonb(crew_link)::text FROM crew_link").fetchall():
        assert token not in row[0]
    for row in db.execute("SELECT to_jsonb(case_entry)::text FROM case_entry").fetchall():
        assert token not in row[0]


def test_a_link_ends_by_time_by_hand_and_with_the_task(db: Connection):
    one = story(db).reach("dispatched")
    made = [links.create_link(db, one.case_id, "user:li", f"队{n}", 1) for n in range(3)]

    def usable(number: int) -> bool:
        found = links.find_link(db, made[number][1])
        return found is not None and links.is_usable(found, one.case.state)

    assert [usable(n) for n in range(3)] == [True] * 3
    links.revoke_link(db, one.case_id, made[0][0].link_id, "user:wang")
    links.revoke_link(db, one.case_id, made[0][0].link_id, "user:wang")
    db.execute(
        "UPDATE crew_link SET created_at = created_at - interval '2 hours',"
        " expires_at = expires_at - interval '2 hours' WHERE link_id = %s",
        (made[1][0].link_id,),
    )
    assert [usable(n) for n in range(3)] == [False, False, True]
    with pytest.raises(NotFound):
        links.revoke_link(db, one.case_id, 10**9, "user:wang")
    one.recover()
    assert usable(2)
    one.prepare_yard()
    one.enter_yard()
    assert not usable(2)
    ended = db.execute("SELECT count(*) FROM case_entry WHERE kind = 'crew_link_revoked'").fetchone()
    assert ended == (1,), "ending twice is ending once"


def test_every_use_of_a_link_is_written_down(db: Connection):
    one = story(db).reach("dispatched")
    link, token = links.create_link(db, one.case_id, "user:li", "张队", 12)
    store.add_view(db, link.link_id, "10.0.0.9", "page")
    store.add_view(db, link.link_id, "10.0.0.9", "location")
    assert [view.what for view in store.views_of(db, link.link_id, 10)] == ["location", "page"]
    found = links.find_link(db, token)
    assert found is not None
    assert (found.views, found.actor) == (2, f"crew:{link.link_id}")
