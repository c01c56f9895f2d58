"""What `make run` shows: thirty days pass, vehicles move, the story's alert comes, an operator acts on it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.fix_browser import Visit, await_map, poll
from tests.fix_stack import eventually

pytestmark = [pytest.mark.slow, pytest.mark.serial, pytest.mark.db, pytest.mark.broker, pytest.mark.browser]

HISTORY_RATE = 60_000
"""Thirty days in 43 seconds; the command's own pace takes two and a half minutes."""
ALERT_WITHIN_MS = 240_000
LINK = re.compile(r"http://127\.0\.0\.1:\d+/sign-in/\S+")


@pytest.fixture
def recovery_link(tmp_path: Path) -> Iterator[str]:
    """Run the demo and yield the recovery team's sign-in link."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
    output = tmp_path / "up.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PLEDGEWATCH_")},
        "PLEDGEWATCH_DATA_DIR": str(tmp_path / "data"),
        "PLEDGEWATCH_HTTP_PORT": "0",
        "PLEDGEWATCH_TELEMETRY_CLOCK": f"scaled:{start.isoformat()}:{HISTORY_RATE}",
    }
    with output.open("wb") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "pledgewatch", "up", "--demo"], env=environment, stdout=log, stderr=log
        )

    def link() -> str | None:
        assert up.poll() is None, output.read_text(encoding="utf-8")[-3000:]
        rows = [
            row
            for row in output.read_text(encoding="utf-8").splitlines()
            if row.strip().startswith("recovery ")
        ]
        found = LINK.search(rows[0]) if rows else None
        return found[0] if found else None

    try:
        yield eventually(link, within_s=90, what="a sign-in link")
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)


def test_the_story_is_told_from_moving_vehicles_to_the_recorded_call(
    recovery_link: str, visit: Visit
) -> None:
    page = visit.open()
    page.goto(recovery_link)
    await_map(page)

    row = page.locator("li[data-alert]", has_text="停留高风险地点")
    expect(row).to_have_count(1, timeout=ALERT_WITHIN_MS)
    places = "JSON.stringify([...window.__fleet.positions.values()].map(p => [p.lat, p.lon]))"
    before = page.evaluate(places)
    poll(page, f"{places} !== {before!r}", within_ms=60_000)

    row.click()
    expect(page.locator("#detail h3")).to_have_text("停留高风险地点")
    page.keyboard.press("a")
    expect(page.locator("#detail .subject")).to_contain_text("已确认")
    page.keyboard.press("e")
    expect(page).to_have_url(re.compile("/cases/"))
    await_map(page, "true")  # the modules of the new page are there
    page.get_by_role("button", name="显示").first.click()
    expect(page.locator(".contacts a[href^=tel]")).to_contain_text("1380000")
    page.get_by_text("承诺还款", exact=True).click()
    page.locator("[name=promise_on]").fill(f"{datetime.now(UTC) + timedelta(days=7):%Y-%m-%d}")
    page.locator("[name=promise_amount]").fill("3,000.00")
    page.locator("#attempt [name=note]").fill("本人接听，车在朋友处，答应明日开回")
    if page.locator("[name=override_reason]").count():
        page.locator("[name=override_reason]").fill("本人要求此时回电")
    page.get_by_role("button", name="保存记录").click()
    expect(page.locator("#entries li.contact")).to_contain_text("本人接听")
