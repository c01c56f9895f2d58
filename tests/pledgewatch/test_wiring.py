"""Domain events reach the rooms they concern: loans, bindings, the broker's accounts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts import store as alerts
from alerts.intake import take_findings
from collateral import bindings, provisioning
from collateral.domain import LoanSnapshot
from collateral.loans.book import upsert_loans
from core.db.pool import Connection, connect
from core.domain.finding import Severity
from core.events.dispatch import dispatch_once
from core.events.store import emit
from core.settings import Settings
from pledgewatch.embedded.stack import StackHandle
from pledgewatch.wiring import consumers
from tests.alerts.findings_builder import START, FixedClock, finding, pledged_vehicle, write
from tests.alerts.recovery.stages import story

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, name="test-wiring", autocommit=True) as connection:
        yield connection


def dispatch(conn: Connection, database_url: str, folder: Path) -> None:
    settings = Settings(
        database_url=database_url,
        data_dir=folder,
        mqtt_url="mqtt://ingest:secret-of-ingest@127.0.0.1:1",
        mqtt_password_file=folder / "passwords",
    )
    for name, handlers in consumers(StackHandle(settings)).items():
        dispatch_once(conn, name, handlers)
    assert conn.execute("SELECT * FROM event_failure").fetchall() == []


def test_a_loan_that_falls_overdue_raises_the_open_alert(
    conn: Connection, database_url: str, tmp_path: Path
) -> None:
    pledged_vehicle(conn, "V1")
    write(conn, finding("raise", 0, severity=Severity.P3))
    take_findings(conn, FixedClock(START), ())
    with conn.transaction():
        upsert_loans(
            conn,
            [
                LoanSnapshot(
                    loan_id="loan-V1", vehicle_id="V1", principal_minor=8_000_000, balance_minor=6_000_000,
                    days_past_due=45, status="overdue", snapshot_at=START + timedelta(days=1),
                )
            ],
        )  # fmt: skip
    dispatch(conn, database_url, tmp_path)
    assert alerts.list_alerts(conn)[0].severity is Severity.P2


def test_a_device_moved_after_the_fact_takes_its_reports_along_and_both_vehicles_are_judged_again(
    conn: Connection, database_url: str, tmp_path: Path
) -> None:
    pledged_vehicle(conn, "V1")
    pledged_vehicle(conn, "V2")
    with conn.transaction():
        provisioning.add_device(conn, "D1", "V1")
    for hours in (-2, 2):
        at = NOON + timedelta(hours=hours)
        conn.execute(
            "INSERT INTO telemetry_undated (device_id, t, boot_id, seq, vehicle_id, type, received_at, fix_valid,"
            " buffered, alarms, sha256, reason) VALUES ('D1', %s, 1, %s, 'V1', 'alarm', %s, false, false,"
            " '{}', '', 'no_time')",
            (at, hours, at),
        )
    with conn.transaction():
        bindings.bind(conn, [bindings.Placement("D1", "V2")], at=NOON)
    dispatch(conn, database_url, tmp_path)
    rows = conn.execute("SELECT vehicle_id FROM telemetry_undated ORDER BY t").fetchall()
    assert rows == [("V1",), ("V2",)]
    assert {row[0] for row in conn.execute("SELECT vehicle_id FROM replay_request").fetchall()} == {
        "V1",
        "V2",
    }


def test_a_new_password_reaches_the_password_file_of_the_broker(
    conn: Connection, database_url: str, tmp_path: Path
) -> None:
    with conn.transaction():
        provisioning.add_device(conn, "D1", None)
        emit(conn, "device.credentials_changed", "D1")
    dispatch(conn, database_url, tmp_path)
    lines = (tmp_path / "passwords").read_text(encoding="utf-8").splitlines()
    assert [line.split(":")[0] for line in lines] == ["ingest", "D1"]


def test_a_vehicle_in_the_yard_gets_its_disposal_case_and_a_settled_sale_ends_the_recovery(
    conn: Connection, database_url: str, tmp_path: Path
) -> None:
    one = story(conn)
    with conn.transaction():
        one.reach("in_yard")
    dispatch(conn, database_url, tmp_path)
    opened = conn.execute(
        "SELECT case_id, state FROM disposal_case WHERE recovery_case_id = %s", (one.case_id,)
    )
    ((sale, state),) = opened.fetchall()
    assert state == "open"
    read = conn.execute("SELECT vehicle_id, odometer_km FROM inspection").fetchall()
    noted = conn.execute("SELECT odometer_km FROM yard_intake").fetchone()
    assert noted is not None
    assert read == [(one.case.vehicle_id, noted[0])], "the yard's reading counts for the value"
    for _ in range(2):
        emit(conn, "disposal.closed", str(sale), {"recovery_case_id": str(one.case_id), "vehicle_id": "V1"})
    emit(conn, "disposal.closed", "another", {"recovery_case_id": None, "vehicle_id": "V9"})
    dispatch(conn, database_url, tmp_path)
    assert (one.case.state, one.custody) == ("closed", "released")


def test_a_release_told_by_event_redeems_what_the_door_did_not(
    conn: Connection, database_url: str, tmp_path: Path
) -> None:
    one = story(conn)
    with conn.transaction():
        one.reach("in_yard")
    dispatch(conn, database_url, tmp_path)
    one.release("released")
    dispatch(conn, database_url, tmp_path)
    assert conn.execute("SELECT state FROM disposal_case").fetchall() == [("redeemed",)]


def test_a_hammer_is_kept_beside_what_was_thought_of_the_vehicle(
    conn: Connection, database_url: str, tmp_path: Path
) -> None:
    pledged_vehicle(conn, "V1")
    emit(
        conn, "lot.hammered", "lot-1",
        {
            "case_id": "c-1", "vehicle_id": "V1", "price_minor": 5_000_000, "currency": "CNY",
            "hammered_at": NOON.isoformat(),
        },
    )  # fmt: skip
    dispatch(conn, database_url, tmp_path)
    rows = conn.execute("SELECT days_before, price_minor, estimate_minor FROM disposal_outcome ORDER BY 1")
    assert rows.fetchall() == [(0, 5_000_000, None), (30, 5_000_000, None), (90, 5_000_000, None)]
