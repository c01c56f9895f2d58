from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collateral import bindings, provisioning
from collateral.bindings import Bindings, Placement
from collateral.domain import Vehicle
from collateral.fleet import FleetDevice, FleetVehicle
from collateral.vehicles.store import upsert_vehicles
from core.clock import to_ms
from core.errors import Conflict, NotFound
from core.topics import default_shard

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def two_vehicles(db):
    upsert_vehicles(db, [Vehicle("v1"), Vehicle("v2")])
    provisioning.add_device(db, "d1", "v1")
    return db


def test_the_first_vehicle_of_a_device_is_its_vehicle_since_ever(two_vehicles):
    loaded = bindings.load(two_vehicles)
    assert loaded.vehicle_at("d1", to_ms(datetime(1980, 1, 1, tzinfo=UTC))) == "v1"
    assert loaded.vehicle_at("d1", to_ms(datetime(2080, 1, 1, tzinfo=UTC))) == "v1"


def test_moving_a_device_closes_the_old_binding_at_that_moment(two_vehicles):
    assert bindings.bind(two_vehicles, [Placement("d1", "v2")], at=NOON) == ["d1"]
    loaded = bindings.load(two_vehicles)
    assert loaded.vehicle_at("d1", to_ms(NOON) - 1) == "v1"
    assert loaded.vehicle_at("d1", to_ms(NOON)) == "v2"


def test_a_moment_inside_a_millisecond_is_judged_as_the_database_would(two_vehicles):
    bindings.bind(two_vehicles, [Placement("d1", "v2")], at=NOON + timedelta(microseconds=300))
    loaded = bindings.load(two_vehicles)
    assert loaded.vehicle_at("d1", to_ms(NOON)) == "v1"
    assert loaded.vehicle_at("d1", to_ms(NOON) + 1) == "v2"


def test_an_unbound_device_is_in_no_vehicle_until_it_is_bound_again(two_vehicles):
    assert bindings.unbind(two_vehicles, "d1", at=NOON)
    assert not bindings.unbind(two_vehicles, "d1", at=NOON + HOUR)
    bindings.bind(two_vehicles, [Placement("d1", "v1")], at=NOON + HOUR)
    loaded = bindings.load(two_vehicles)
    assert loaded.vehicle_at("d1", to_ms(NOON)) is None
    assert loaded.vehicle_at("d1", to_ms(NOON + HOUR)) == "v1"


def test_binding_to_the_same_vehicle_again_changes_nothing(two_vehicles):
    before = bindings.load(two_vehicles).version
    assert bindings.bind(two_vehicles, [Placement("d1", "v1")], at=NOON) == []
    assert bindings.load(two_vehicles).version == before


def test_a_move_without_or_before_its_time_is_refused(two_vehicles):
    with pytest.raises(Conflict) as missing:
        bindings.bind(two_vehicles, [Placement("d1", "v2")], at=None)
    assert missing.value.code == "binding_needs_time"
    bindings.bind(two_vehicles, [Placement("d1", "v2")], at=NOON)
    with pytest.raises(Conflict) as early:
        bindings.bind(two_vehicles, [Placement("d1", "v1")], at=NOON - HOUR)
    assert early.value.code == "binding_out_of_order"
    bindings.unbind(two_vehicles, "d1", at=NOON + HOUR)
    with pytest.raises(Conflict):
        bindings.bind(two_vehicles, [Placement("d1", "v1")], at=NOON + HOUR / 2)


def test_an_unregistered_device_cannot_be_bound_or_unbound(two_vehicles):
    with pytest.raises(NotFound):
        bindings.bind(two_vehicles, [Placement("ghost", "v1")], at=NOON)
    with pytest.raises(NotFound):
        bindings.unbind(two_vehicles, "ghost", at=NOON)


def test_the_database_itself_refuses_a_device_in_two_vehicles_at_one_time(two_vehicles):
    with pytest.raises(psycopg.errors.ExclusionViolation):
        two_vehicles.execute(
            "INSERT INTO device_binding (device_id, vehicle_id, valid_from, valid_to)"
            " VALUES ('d1', 'v2', '2026-01-01', '2026-02-01')"
        )


def test_a_move_is_told_as_a_domain_event_and_a_fresh_device_is_not(two_vehicles):
    two_vehicles.commit()
    told = "SELECT payload FROM domain_event WHERE kind = 'binding.changed'"
    assert two_vehicles.execute(told).fetchall() == []
    bindings.bind(two_vehicles, [Placement("d1", "v2")], at=NOON)
    assert two_vehicles.execute(told).fetchall() == [
        ({"vehicle_before": "v1", "vehicle_after": "v2", "since": NOON.isoformat()},)
    ]


def test_a_change_of_bindings_gives_the_table_a_new_version(two_vehicles):
    before = bindings.load(two_vehicles).version
    provisioning.revoke(two_vehicles, "d1")
    after = bindings.load(two_vehicles)
    assert after.version > before
    assert after.device("d1") == bindings.BoundDevice(default_shard("d1"), revoked=True)
    assert after.device("ghost") is None


@given(
    cuts=st.lists(st.integers(-1000, 1000), min_size=1, max_size=12, unique=True).map(sorted),
    moment=st.integers(-1100, 1100),
)
def test_the_table_agrees_with_a_plain_search_over_all_bindings(cuts, moment):
    bounds = [None, *cuts, None]
    rows = [
        ("d", f"v{index}", bounds[index], bounds[index + 1])
        for index in range(len(bounds) - 1)
        if index % 3 != 1
    ]
    expected = [
        vehicle
        for _, vehicle, start, end in rows
        if (start is None or start <= moment) and (end is None or moment < end)
    ]
    assert Bindings(1, [], rows).vehicle_at("d", moment) == (expected[0] if expected else None)


def test_twenty_thousand_devices_are_read_and_found(db):
    db.execute("INSERT INTO vehicle (vehicle_id) SELECT 'v' || n FROM generate_series(1, 20000) n")
    db.execute(
        "INSERT INTO device (device_id, shard) SELECT 'd' || n, n % 64 FROM generate_series(1, 20000) n"
    )
    db.execute(
        "INSERT INTO device_binding (device_id, vehicle_id) SELECT 'd' || n, 'v' || n FROM generate_series(1, 20000) n"
    )
    loaded = bindings.load(db)
    assert len(loaded) == 20_000
    assert loaded.vehicle_at("d19999", 0) == "v19999"


def test_a_fleet_vehicle_may_carry_two_devices(db):
    provisioning.provision_fleet(
        db, [FleetVehicle("v", devices=(FleetDevice("a"), FleetDevice("b", power="wireless")))]
    )
    loaded = bindings.load(db)
    assert {loaded.vehicle_at(device, 0) for device in "ab"} == {"v"}
