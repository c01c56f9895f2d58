"""`pledgewatch ledger check`: the answer for people, for programs, and the exit code."""

import json

import pytest
from typer.testing import CliRunner

from pledgewatch.cli import app
from tests.auction.books.scene import sold


@pytest.fixture
def run(database_url, tmp_path, monkeypatch):
    monkeypatch.setenv("PLEDGEWATCH_DATABASE_URL", database_url)
    monkeypatch.setenv("PLEDGEWATCH_DATA_DIR", str(tmp_path))
    return lambda *words: CliRunner().invoke(app, ["ledger", "check", *words])


def test_the_command_says_zero_and_exits_with_one_when_it_is_not(run, fresh_conn):
    conn = fresh_conn
    empty = run("--json")
    assert (empty.exit_code, json.loads(empty.stdout)["balances"]) == (0, [])
    sold(conn)
    right = run("--json")
    found = json.loads(right.stdout.splitlines()[-1])
    assert (right.exit_code, found["ok"]) == (0, True)
    (balance,) = found["balances"]
    assert balance["currency"] == "CNY"
    assert balance["difference_minor"] == 0
    assert balance["debit_minor"] == balance["credit_minor"] > 0
    assert set(found["broken"].values()) == {0}
    assert "CNY: debit" in run().stdout
    conn.execute("UPDATE deposit_hold SET state = 'voided' WHERE state = 'pending'")
    wrong = run("--json")
    broken = json.loads(wrong.stdout.splitlines()[-1])["broken"]
    assert wrong.exit_code == 1
    assert broken["held_is_not_pending"] == 1
    assert broken["holds_not_ended_once"] == 1
    assert "broken: held_is_not_pending" in run().stdout
