"""The operator's path in a real browser: sign in, see, be alerted, acknowledge, open a case, record the call."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from collateral.staff.access import create_sign_in_link
from core.clock import wall_now
from tests.browser.city import settle, trouble
from tests.fix_api import Served, risk
from tests.fix_browser import Visit, await_map, poll

pytestmark = [pytest.mark.slow, pytest.mark.db, pytest.mark.browser]

CONTRAST = """element => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let under = element;
  while (under && (parse(getComputedStyle(under).backgroundColor)[3] ?? 1) === 0) under = under.parentElement;
  const [a, b] = [light(parse(getComputedStyle(element).color)),
                  light(parse(getComputedStyle(under ?? document.body).backgroundColor))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
"""WCAG contrast of a text on the background it stands on."""
SCREENSHOT = Path(__file__).parents[2] / "docs" / "screenshot.png"


def sign_in(page: Page, served: Served, role: str = "recovery") -> None:
    with served.town.connect() as conn:
        link = create_sign_in_link(conn, role)
    page.goto(f"{served.base_url}/sign-in/{link}")
    expect(page).to_have_url(re.compile(r"/(\?.*)?$"))


def test_an_operator_goes_from_the_alert_to_the_recorded_call(served: Served, visit: Visit):
    page = visit.open()
    sign_in(page, served)
    await_map(page)
    expect(page.locator("#stream-state")).to_contain_text("实时连接")
    shown = poll(page, "window.__map.queryRenderedFeatures({layers: ['vehicles', 'clusters']}).length")
    assert shown >= 1

    # The alert arrives by itself, without a reload.
    expect(page.locator("li[data-alert]")).to_have_count(2)
    served.town.find(risk("V7", wall_now() - timedelta(seconds=20), "TAMPER_THEN_DARK", scope="D7"))
    expect(page.locator("li[data-alert]")).to_have_count(3, timeout=10_000)
    row = page.locator("li[data-alert]", has_text="拆改后失联")
    expect(row).to_contain_text("皖A00007")

    # And so does the movement.
    served.town.store(served.town.report(7, wall_now(), lat=30.26, lon=117.99))
    poll(page, "window.__fleet.positions.get('V7').lat === 30.26")

    row.click()
    expect(page.locator("#detail h3")).to_have_text("拆改后失联")
    page.keyboard.press("a")
    expect(page.locator("#detail .subject")).to_contain_text("已确认")
    page.keyboard.press("e")
    expect(page).to_have_url(re.compile("/cases/"))
    await_map(page, "true")  # the modules of the new page are there
    page.wait_for_load_state()
    expect(page.locator(".contacts li")).to_have_count(1)

    page.get_by_role("button", name="显示").first.click()
    expect(page.locator(".contacts a[href^=tel]")).to_contain_text("13800138007")
    page.get_by_text("承诺还款", exact=True).click()
    page.locator("[name=promise_on]").fill("2026-12-05")
    page.locator("[name=promise_amount]").fill("3,000.50")
    page.locator("#attempt [name=note]").fill("本人接听，答应下周三还清")
    if page.locator("[name=override_reason]").count():
        page.locator("[name=override_reason]").fill("本人要求此时回电")
    page.get_by_role("button", name="保存记录").click()
    entry = page.locator("#entries li.contact")
    expect(entry).to_contain_text("承诺还款")
    expect(entry).to_contain_text("本人接听，答应下周三还清")
    page.locator("#note [name=text]").fill("转外勤跟进")
    page.get_by_role("button", name="添加").click()
    expect(page.locator("#entries li.note")).to_contain_text("转外勤跟进")


def test_the_case_page_fits_a_phone_and_opens_the_place_in_its_own_datum(served: Served, visit: Visit):
    client = served.as_("recovery")
    alert = client.get("/api/v1/alerts", params={"severity": "P1"}).json()["items"][0]
    case_id = client.post("/api/v1/cases", json={"alert_id": alert["id"]}).json()["id"]
    page = visit.open(phone=True)
    sign_in(page, served)
    page.goto(f"{served.base_url}/cases/{case_id}")
    expect(page.locator("#last-fix")).to_contain_text("分钟前")
    await_map(page, "true")
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, "a phone must not scroll sideways"
    amap = page.get_by_role("link", name="高德地图打开").get_attribute("href") or ""
    shifted = re.search(r"position=([\d.]+),([\d.]+)", amap)
    assert shifted is not None
    position = client.get("/api/v1/positions", params={"vehicle_id": "V1"}).json()["items"][0]
    assert 0.002 < abs(float(shifted[1]) - position["lon"]) < 0.01, "GCJ-02 is a few hundred metres away"
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is None or box["height"] >= 26, "fingers need room"


def test_the_live_page_shows_a_whole_city_with_roads_fences_and_risks(served: Served, visit: Visit):
    vehicles = settle(served.town)
    trouble(served.town, vehicles)
    page = visit.open()
    sign_in(page, served)
    await_map(page, f"window.__fleet && window.__fleet.size >= {len(vehicles)}")
    expect(page.locator("li[data-alert]")).to_have_count(9)
    drawn = "window.__map.queryRenderedFeatures({layers: ['%s']}).length"
    for layer in ("road", "fence-line", "clusters", "vehicles"):
        assert poll(page, drawn % layer) > 0, layer
    page.locator("li[data-alert]", has_text="疑似拖车").click()
    expect(page.locator("#detail h3")).to_have_text("疑似拖车")
    page.keyboard.press("j")
    expect(page.locator("#detail h3")).not_to_have_text("疑似拖车")
    page.keyboard.press("k")
    expect(page.locator("#detail h3")).to_have_text("疑似拖车")
    if os.environ.get("PLEDGEWATCH_WRITE_SCREENSHOT"):
        page.evaluate("window.__map.jumpTo({zoom: 12.1, center: [117.915, 30.2]})")
        page.wait_for_timeout(1500)
        await_map(page)
        page.screenshot(path=SCREENSHOT)


def test_dark_mode_and_severity_words_keep_their_contrast(served: Served, visit: Visit):
    for scheme in ("light", "dark"):
        page = visit.open(color_scheme=scheme)
        sign_in(page, served)
        expect(page.locator("li[data-alert]")).to_have_count(2)
        for selector in (
            ".sev.p1",
            ".sev.p2",
            ".sev.p3",
            ".sev.p4",
            ".alerts time",
            ".plate",
            ".top nav a",
            ".overdue",
        ):
            ratio = page.locator(selector).first.evaluate(CONTRAST)
            assert ratio >= 4.5, f"{scheme} {selector}: {ratio:.2f}"


def test_playback_moves_map_and_strip_with_one_cursor(served: Served, visit: Visit):
    page = visit.open()
    sign_in(page, served)
    page.goto(f"{served.base_url}/vehicles/V2?tab=playback")
    expect(page.locator("#track-text")).to_have_text("5 个定位点")
    await_map(page, "true")
    first = page.locator("#cursor-text").inner_text()
    box = page.locator("#strip .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + 40)
    page.mouse.move(box["x"] + 4, box["y"] + 40)
    expect(page.locator("#cursor-text")).not_to_have_text(first)
    place = poll(page, "window.__map.querySourceFeatures('cursor').length && "
                 "window.__map.querySourceFeatures('cursor')[0].geometry.coordinates")  # fmt: skip
    assert 117.9 < place[0] < 117.92


def test_every_page_opens_in_both_languages_without_a_missing_word(served: Served, visit: Visit):
    page = visit.open()
    sign_in(page, served, "admin")
    tabs = ("timeline", "playback", "stays", "alerts", "loan", "devices", "audit")
    paths = ["/", "/alerts", "/vehicles", "/cases", *(f"/vehicles/V1?tab={tab}" for tab in tabs)]
    for language in ("zh-CN", "en"):
        for path in paths:
            page.goto(served.base_url + path)
            assert page.locator("html").get_attribute("lang") == language
            text = page.locator("body").inner_text()
            assert not re.search(r"\b[a-z_]+\.[a-z_]+\b(?<!uri\.amap)", text.replace("127.0.0.1", "")), path
        page.locator("form.language button").click()
        page.wait_for_load_state()
