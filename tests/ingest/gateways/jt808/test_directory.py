"""The directory of terminals: in memory, so that a database that is away keeps nobody out."""

import asyncio

import pytest

from collateral import provisioning
from core.errors import Unavailable
from core.mqtt_passwords import mosquitto_password_hash
from ingest.gateways.jt808 import store
from ingest.gateways.jt808.directory import MOST_WAITING, Directory
from ingest.gateways.jt808.messages import Registration, decode_registration
from tests.fix_stack import in_a_loop_of_its_own

WHO = Registration("PWSIM", "SIM-808", "SIM0001", "京A12345")
NOWHERE = "postgresql://127.0.0.1:1/nowhere"


def test_a_terminal_signs_in_while_the_database_is_away_and_registration_waits(db, database_url):
    provisioning.add_device(db, "d-1")
    store.enrol(db, "139001", "d-1", dialect=None, code_hash=mosquitto_password_hash("right"))
    db.commit()

    async def work():
        directory = Directory(database_url)
        await directory.refresh()
        assert directory._conn is not None
        directory._conn.close()
        directory._url = NOWHERE
        entered = directory.may_enter("139001", "right")
        assert entered is not None
        assert entered.device_id == "d-1"
        assert directory.may_enter("139001", "wrong") is None
        with pytest.raises(Unavailable, match="Directory"):
            await directory.refresh()
        with pytest.raises(Unavailable, match="Directory"):
            await directory.register("139001", WHO)
        assert directory.may_enter("139001", "right") is not None
        directory._url = database_url
        await directory.refresh()
        directory.close()

    in_a_loop_of_its_own(work())


def test_two_gateways_agree_on_the_code_that_was_given_last(db, database_url):
    provisioning.add_device(db, "d-1")
    store.enrol(db, "139001", "d-1", dialect=None, code_hash=None)
    db.commit()

    async def work():
        one, other = Directory(database_url), Directory(database_url)
        await one.refresh()
        await other.refresh()
        code = await one.register("139001", WHO)
        assert code is not None
        assert one.may_enter("139001", code) is not None
        assert other.may_enter("139001", code) is None
        await other.refresh()
        assert other.may_enter("139001", code) is not None
        assert await other.register("139001", WHO._replace(terminal_id="OTHER01")) is None
        await other.unregister("139001")
        assert other.may_enter("139001", code) is None
        one.close()
        other.close()

    in_a_loop_of_its_own(work())


def test_rubbish_behind_the_padding_does_not_keep_a_terminal_out(db, database_url):
    provisioning.add_device(db, "d-1")
    store.enrol(db, "139001", "d-1", dialect=None, code_hash=None)
    db.commit()
    body = bytes(4) + b"PWSIM" + b"SIM-808\0\xff\x01".ljust(20, b"x") + b"ID\0\0\0\0\x07" + b"\0"

    async def work():
        directory = Directory(database_url)
        await directory.refresh()
        code = await directory.register("139001", decode_registration(body, is_2019=False))
        assert code is not None
        assert directory.may_enter("139001", code) is not None
        directory.close()

    in_a_loop_of_its_own(work())


def test_a_flood_of_registrations_waits_in_a_short_queue_and_the_rest_is_turned_away(db, database_url):
    provisioning.add_device(db, "d-1")
    store.enrol(db, "139001", "d-1", dialect=None, code_hash=None)
    db.commit()

    async def work():
        directory = Directory(database_url)
        await directory.refresh()
        answers = await asyncio.gather(
            *(directory.register("139001", WHO) for _ in range(3 * MOST_WAITING)), return_exceptions=True
        )
        directory.close()
        return answers

    answers = in_a_loop_of_its_own(work())
    turned_away = [answer for answer in answers if isinstance(answer, Unavailable)]
    assert {error.code for error in turned_away} == {"directory_busy"}
    assert len(turned_away) == 2 * MOST_WAITING
    assert all(isinstance(answer, str) for answer in answers if answer not in turned_away)
