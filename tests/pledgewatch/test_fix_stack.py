"""The fixtures that the other tests stand on."""

from urllib.parse import urlsplit

import psycopg
import pytest

from core.db.pool import Connection
from pledgewatch.embedded.probe import ACCEPTED, mqtt_connect_code
from tests.fix_stack import BrokerUnderTest, missing


def tables_of(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def test_a_test_gets_a_migrated_database_of_its_own(database_url: str):
    assert "schema_migration" in tables_of(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE left_by_a_test (n int)")


def test_nothing_of_another_test_is_in_it(database_url: str, db: Connection):
    assert "left_by_a_test" not in tables_of(database_url)
    row = db.execute("SELECT current_database()").fetchone()
    assert row is not None
    assert urlsplit(database_url).path == f"/{row[0]}"


def test_an_empty_database_has_no_tables(empty_database_url: str):
    assert tables_of(empty_database_url) == set()


def test_an_added_account_is_valid_at_once_and_a_removed_one_is_not(broker: BrokerUnderTest):
    password = broker.add_user("fixture-device")
    assert mqtt_connect_code(broker.host, broker.port, "fixture-device", password) == ACCEPTED
    broker.remove_user("fixture-device")
    assert mqtt_connect_code(broker.host, broker.port, "fixture-device", password) != ACCEPTED


def test_a_missing_part_skips_unless_it_is_required(monkeypatch):
    monkeypatch.setenv("PLEDGEWATCH_REQUIRE", "browser")
    with pytest.raises(pytest.skip.Exception, match="no broker here"):
        missing("broker", "no broker here")
    monkeypatch.setenv("PLEDGEWATCH_REQUIRE", "browser, broker")
    with pytest.raises(pytest.fail.Exception, match="no broker here"):
        missing("broker", "no broker here")
