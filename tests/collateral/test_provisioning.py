from datetime import UTC, datetime

import pytest

from collateral import provisioning
from collateral.fleet import FleetDevice, FleetLoan, FleetParty, FleetVehicle
from core.errors import Conflict, NotFound, Rejected
from core.mqtt_passwords import verify_mosquitto_password
from core.topics import default_shard

SNAPSHOT = datetime(2026, 11, 1, tzinfo=UTC)


def fleet_of(size):
    return [
        FleetVehicle(
            f"car-{number}",
            devices=(FleetDevice(f"dev-{number}"),),
            pledgor=FleetParty(f"party-{number}", f"客户{number}"),
            loan=FleetLoan(f"loan-{number}", 10_000_000, 8_000_000, SNAPSHOT, days_past_due=number % 40),
        )
        for number in range(size)
    ]


def test_a_new_device_gets_its_shard_and_a_password_of_which_only_the_hash_is_kept(db):
    given = provisioning.add_device(db, "868120303960871", "my-car")
    assert given.username == "868120303960871"
    assert given.shard == default_shard("868120303960871")
    [(username, password_hash)] = provisioning.broker_accounts(db)
    assert username == given.username
    assert password_hash.startswith("$7$")
    assert verify_mosquitto_password(given.password, password_hash)
    stored = db.execute("SELECT * FROM device").fetchone()
    assert given.password not in repr(stored)


def test_a_device_that_can_speak_is_not_added_again(db):
    provisioning.add_device(db, "d1")
    with pytest.raises(Conflict) as refused:
        provisioning.add_device(db, "d1")
    assert refused.value.code == "device_exists"


def test_rotating_replaces_the_password_and_revoking_ends_it(db):
    first = provisioning.add_device(db, "d1")
    second = provisioning.rotate(db, "d1")
    assert second.password != first.password
    [(_, password_hash)] = provisioning.broker_accounts(db)
    assert verify_mosquitto_password(second.password, password_hash)
    assert not verify_mosquitto_password(first.password, password_hash)
    assert provisioning.revoke(db, "d1")
    assert not provisioning.revoke(db, "d1")
    assert provisioning.broker_accounts(db) == []
    with pytest.raises(Conflict):
        provisioning.rotate(db, "d1")


def test_a_revoked_device_that_is_added_again_may_speak(db):
    provisioning.add_device(db, "d1")
    provisioning.revoke(db, "d1")
    provisioning.add_device(db, "d1")
    assert [username for username, _ in provisioning.broker_accounts(db)] == ["d1"]


def test_an_unknown_device_can_neither_be_rotated_nor_revoked(db):
    for change in (provisioning.rotate, provisioning.revoke):
        with pytest.raises(NotFound):
            change(db, "ghost")


@pytest.mark.parametrize("device_id", ["", "a/b", "+", "-dash", "a" * 33, "ingest", "设备"])
def test_an_id_that_could_reach_other_topics_or_accounts_is_refused(db, device_id):
    with pytest.raises(Rejected) as refused:
        provisioning.add_device(db, device_id)
    assert refused.value.code == "bad_device_id"


def test_a_vehicle_is_found_by_its_vin_and_a_mistyped_vin_is_not_a_new_vehicle(db):
    provisioning.add_device(db, "d1", "LSVAU218XN2183294")
    provisioning.add_device(db, "d2", "lsvau218xn2183294")
    assert db.execute("SELECT vehicle_id, vin FROM vehicle").fetchall() == [("LSVAU218XN2183294",) * 2]
    with pytest.raises(Rejected) as refused:
        provisioning.add_device(db, "d3", "LSVAU218XN2183295")
    assert refused.value.code == "bad_vin_check_digit"


def test_two_thousand_devices_are_provisioned_with_their_vehicles_and_loans(db):
    credentials = provisioning.provision_fleet(db, fleet_of(2_000), batch=700)
    assert len({given.password for given in credentials}) == 2_000
    assert [given.device_id for given in credentials] == [f"dev-{number}" for number in range(2_000)]
    assert len(provisioning.broker_accounts(db)) == 2_000
    assert db.execute("SELECT count(*), sum(balance_minor) FROM loan").fetchone() == (2_000, 16_000_000_000)


def test_provisioning_a_fleet_again_changes_the_passwords_and_nothing_else(db):
    def registry():
        return [
            db.execute(f"SELECT row_to_json({table})::text FROM {table} ORDER BY 1").fetchall()
            for table in ("vehicle", "party", "loan", "device_binding")
        ]

    first = provisioning.provision_fleet(db, fleet_of(20))
    before = registry()
    second = provisioning.provision_fleet(db, fleet_of(20))
    assert registry() == before
    assert {given.password for given in first}.isdisjoint(given.password for given in second)


def test_a_fleet_with_a_repeat_or_a_revoked_device_is_refused(db):
    with pytest.raises(Rejected):
        provisioning.provision_fleet(db, [*fleet_of(2), *fleet_of(1)])
    provisioning.provision_fleet(db, fleet_of(2))
    provisioning.revoke(db, "dev-1")
    with pytest.raises(Conflict) as refused:
        provisioning.provision_fleet(db, fleet_of(2))
    assert refused.value.code == "device_revoked"
