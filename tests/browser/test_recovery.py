"""A recovery in a real browser: the office sends a crew, the crew's phone brings the vehicle in."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.alerts.recovery.pictures import phone_jpeg
from tests.api.recovering import recovery
from tests.browser.test_story import sign_in
from tests.fix_api import Served
from tests.fix_browser import Visit, await_map, poll

pytestmark = [pytest.mark.slow, pytest.mark.db, pytest.mark.browser]

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def fits_a_thumb(page: Page) -> None:
    assert page.evaluate(SIDEWAYS) <= 0, "a phone must not scroll sideways"
    for control in page.locator("main button:visible, main a.button:visible, main summary:visible").all():
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= 32, control.inner_text()


def at_step(office: Page, word: str) -> None:
    """Wait until the page stands at a step, and its modules have taken over the forms."""
    expect(office.locator("#steps [aria-current]")).to_have_text(word)
    await_map(office, "true")


def test_a_crew_brings_the_vehicle_from_the_link_to_the_yard(served: Served, visit: Visit):
    one = recovery(served)
    office = visit.open()
    sign_in(office, served)
    office.goto(f"{served.base_url}/cases/{one.case_id}")
    at_step(office, "立案")
    office.get_by_role("button", name="开始找车").click()
    at_step(office, "找车")
    expect(office.locator("#move-dispatched button")).to_be_disabled()
    office.locator("#ground [name=kind]").select_option("court_order")
    office.locator("#ground [name=reference]").fill("(2026)皖01执88号")
    office.locator("#ground [name=dated]").fill("2026-11-02")
    office.locator("#ground [name=document]").set_input_files(
        {"name": "order.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 an order"}
    )
    office.locator("#ground button").click()
    expect(office.locator(".ground.in_force")).to_contain_text("法院文书")
    at_step(office, "找车")
    office.locator("#move-dispatched [name=crew]").fill("张队")
    office.locator("#move-dispatched button").click()
    at_step(office, "派出收车")
    office.locator("#link button").click()
    address = office.locator("#crew-address")
    expect(address).to_have_value(re.compile(r"/crew/pwc_"))

    phone = visit.open(phone=True)
    phone.goto(address.input_value())
    expect(phone.locator(".never")).to_contain_text("立即停止并离开")
    fits_a_thumb(phone)
    # The photo goes out as soon as it is taken.
    phone.locator("input[type=file]").set_input_files(
        {"name": "IMG_1.jpg", "mimeType": "image/jpeg", "buffer": phone_jpeg()}
    )
    expect(phone.locator(".kinds li")).to_have_text(["车头"])
    phone.locator("[name=odometer_km]").fill("61230.5")
    phone.get_by_role("button", name="确认已收车").click()
    expect(phone.locator("#yard")).to_be_visible()
    expect(phone.locator("#yard [name=odometer_km]")).to_have_value("61230.5")
    fits_a_thumb(phone)
    phone.locator("#belongings [name=item]").fill("儿童座椅")
    phone.locator("#belongings button").click()
    expect(phone.locator(".things li")).to_contain_text("儿童座椅")
    phone.locator("#yard [name=keys_count]").fill("2")
    phone.locator("#yard [name=received_by]").fill("李库管")
    phone.get_by_role("button", name="确认入库").click()
    expect(phone.locator("h1")).to_have_text("已入库，谢谢")

    office.reload()
    at_step(office, "入库")
    expect(office.locator("#yard .facts")).to_contain_text("城北车库")
    office.locator(".photos img").scroll_into_view_if_needed()
    # Without its metadata it is still a picture that a browser draws, turned the way the camera said.
    poll(office, "document.querySelector('.photos img').naturalWidth > 0")
    drawn = "[document.querySelector('.photos img').naturalWidth, document.querySelector('.photos img').naturalHeight]"
    assert office.evaluate(drawn) == [16, 24]


def test_the_case_page_fits_a_phone_in_every_step_of_a_recovery(served: Served, visit: Visit):
    one = recovery(served)
    page = visit.open(phone=True)
    sign_in(page, served)
    for state in ("new", "locating", "dispatched", "recovered", "in_yard"):
        one.reach(state)
        page.goto(f"{served.base_url}/cases/{one.case_id}")
        expect(page.locator("#steps [aria-current]")).to_be_visible()
        assert page.evaluate(SIDEWAYS) <= 0, state
