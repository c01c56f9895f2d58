"""The whole story in a real browser: a vehicle goes dark at a second-pledge place, and ends with a new owner.

Four people (recovery, disposal, a second person, a bidder), the crew's phone, a rival over HTTP, and the real
processes `pledgewatch events` and `python -m auction` over the served town.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from auction.ledger.check import check_books
from core.clock import wall_now
from tests.browser import story_steps as they
from tests.fix_api import Served, Town
from tests.fix_browser import Visit
from tests.valuation.invented_market import KIND, invented_model
from valuation.model.store import save_model

pytestmark = [
    pytest.mark.slow, pytest.mark.serial, pytest.mark.db, pytest.mark.browser, pytest.mark.timeout(420),
]  # fmt: skip


@pytest.fixture
def town(town: Town) -> Town:
    """The town with the demo's policy, a fitted market, and an overdue loan on the story's vehicle."""
    town.settings = town.settings.model_copy(
        update={
            "policy_pack": "demo",
            "mqtt_url": "mqtt://ingest:nobody-listens-here@127.0.0.1:1",
            "mqtt_password_file": town.settings.data_dir / "mqtt-passwords",
        }
    )
    with town.connect() as conn:
        save_model(conn, invented_model(until=(wall_now() - timedelta(days=3)).date()))
        conn.execute(
            "UPDATE vehicle SET make = %s, model = %s, first_registration = '2022-10-01' WHERE vehicle_id = %s",
            (KIND.make, KIND.model, they.VEHICLE),
        )
        conn.execute(
            "UPDATE loan SET status = 'overdue', days_past_due = 34, balance_minor = 3000000 WHERE vehicle_id = %s",
            (they.VEHICLE,),
        )
    return town


def environment(town: Town) -> dict[str, str]:
    """What a process of the deployment is told."""
    settings = town.settings
    told = {
        "DATABASE_URL": town.database_url, "DATA_DIR": settings.data_dir, "POLICY_PACK": settings.policy_pack,
        "MQTT_URL": settings.mqtt_url, "MQTT_PASSWORD_FILE": settings.mqtt_password_file,
    }  # fmt: skip
    others = {name: value for name, value in os.environ.items() if not name.startswith("PLEDGEWATCH_")}
    return others | {f"PLEDGEWATCH_{name}": str(value) for name, value in told.items()}


@pytest.fixture
def rooms(served: Served, tmp_path: Path) -> Iterator[None]:
    """The processes that act without being asked: events between rooms, the auction's timers."""
    started = {}
    with ExitStack() as logs:
        for name, module in (("events", ["pledgewatch", "events"]), ("auction", ["auction"])):
            log = logs.enter_context((tmp_path / f"{name}.log").open("wb"))
            started[name] = subprocess.Popen(
                [sys.executable, "-m", *module], env=environment(served.town), stdout=log, stderr=log
            )
        try:
            yield
        finally:
            died = {name: process.poll() for name, process in started.items()}
            for process in started.values():
                process.terminate()
            for process in started.values():
                process.wait(20)
        assert died == {"events": None, "auction": None}, (tmp_path / "events.log").read_text()[-2000:]


def pledgewatch(town: Town, *arguments: str) -> str:
    """Run the command line as a person would; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pledgewatch", *arguments],
        env=environment(town), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_pledged_vehicle_goes_from_its_alert_to_a_new_owner(
    served: Served, visit: Visit, rooms: None, tmp_path: Path
):
    story = they.Story(served, visit, tmp_path)
    they.the_alert_comes_by_itself_and_becomes_a_case(story)
    they.the_pledgor_is_called_and_will_not_pay(story)
    address = they.a_crew_is_sent_on_a_court_order(story)
    they.the_crew_brings_it_into_the_yard_by_phone(story, address)

    they.disposal_finds_the_case_on_its_desk(story)
    they.the_vehicle_is_valued_with_reasons_and_comparables(story)
    they.disposal_records_basis_and_appraisal(story)
    they.disposal_drafts_a_short_lot_and_may_not_publish_it(story)
    they.a_second_person_publishes_it(story)

    they.a_bidder_signs_in_with_a_password_and_registers(story)
    they.a_second_person_verifies_and_credits_the_bidder(story)
    they.the_bidder_leaves_the_deposit(story)
    rival = they.a_rival_without_a_browser_comes(story)
    they.the_bidder_bids_and_hears_of_being_outbid(story, rival)
    they.the_bidder_bids_again_and_leads(story, rival)
    they.disposal_books_a_cost_while_the_clock_runs(story)
    they.the_hammer_falls_to_the_bidder(story)

    they.the_payment_is_recorded_and_the_code_told_once(story)
    they.the_title_checklist_is_done_step_by_step(story)
    they.the_vehicle_is_handed_over_and_the_case_closed(story)

    protocol = they.the_protocol_is_downloaded(story)
    key = tmp_path / "house.pem"
    key.write_text(pledgewatch(served.town, "auction", "key"))
    assert "chain, commitments and replay hold" in pledgewatch(
        served.town, "auction", "verify", str(protocol), "--key", str(key)
    )
    with served.town.connect() as conn:
        books = check_books(conn)
        assert conn.execute("SELECT consumer, error FROM event_failure").fetchall() == []
    assert books.ok, books
    assert books.entries > 0
    assert [balance.difference_minor for balance in books.balances] == [0]
