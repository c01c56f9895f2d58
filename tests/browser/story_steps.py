"""What people do in the whole story, one sentence per function, each on a page of their own browser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from playwright.sync_api import Locator, Page, expect

from collateral.staff.access import create_sign_in_link
from collateral.staff.people import create_user
from core.clock import monotonic, wall_now
from tests.alerts.recovery.pictures import phone_jpeg
from tests.api.recovering import API, YARD
from tests.api.sale_scene import Person, Sale, made
from tests.fix_api import Served, risk
from tests.fix_browser import Visit, await_map, poll

VEHICLE, PLATE = "V3", "皖A00003"
LASTS = timedelta(seconds=45)
"""The lot from its draft on: two people publish it, two others come and bid; each late bid adds half a minute.
A machine on which the story took longer than that so far gets as much time for the rest."""
PASSWORD = "three-paper-boats"
RIVAL_MAX_MINOR = 600_000
"""How far above the start price the bidder without a browser goes."""
ODOMETER_KM = 61_230


@dataclass
class Story:
    """The pages of its people, and what they learnt."""

    served: Served
    visit: Visit
    folder: Path
    case_url: str = ""
    desk_url: str = ""
    lot_url: str = ""
    release_code: str = ""
    began_s: float = field(default_factory=monotonic)
    pages: dict[str, Page] = field(default_factory=dict)

    def page(self, who: str, *, phone: bool = False) -> Page:
        if who not in self.pages:
            self.pages[who] = self.visit.open(phone=phone)
        return self.pages[who]

    def at(self, path: str) -> str:
        return self.served.base_url + path

    @property
    def lot_id(self) -> str:
        return self.lot_url.rpartition("/")[2]


def sign_in(story: Story, role: str) -> Page:
    page = story.page(role)
    with story.served.town.connect() as conn:
        link = create_sign_in_link(conn, role)
    page.goto(story.at(f"/sign-in/{link}"))
    expect(page.get_by_role("button", name="退出")).to_be_visible()
    return page


def reload_until(page: Page, wanted: Locator, *, within_s: float = 20) -> None:
    """Another process has to act first: look again until it has."""
    deadline = monotonic() + within_s
    while not wanted.count():
        assert monotonic() < deadline, f"not within {within_s} s: {wanted}"
        page.wait_for_timeout(200)
        page.reload()


def refreshed(page: Page, shown: Locator, text: str) -> None:
    """A form refreshed the page; what it shows now can be clicked (before its scripts run, a form is refused)."""
    expect(shown).to_have_text(text, timeout=15_000)
    poll(page, "document.readyState === 'complete'")


def call_done(page: Page, shown: Locator, text: str | re.Pattern[str]) -> None:
    """A form of the desk was one call of the API; the page that shows its result works again."""
    expect(shown).to_contain_text(text, timeout=15_000)
    expect(page.locator("html")).to_have_attribute("data-ready", "yes")


# The alert, the case, the recovery


def the_alert_comes_by_itself_and_becomes_a_case(story: Story) -> None:
    office = sign_in(story, "recovery")
    await_map(office)
    expect(office.locator("#stream-state")).to_contain_text("实时连接")
    rows = office.locator("li[data-alert]", has_text=PLATE)
    expect(rows).to_have_count(0)
    story.served.town.find(risk(VEHICLE, wall_now() - timedelta(seconds=30)))
    expect(rows).to_have_count(1, timeout=10_000)
    expect(rows).to_contain_text("停留高风险地点")
    rows.click()
    expect(office.locator("#detail h3")).to_have_text("停留高风险地点")
    office.keyboard.press("a")
    expect(office.locator("#detail .subject")).to_contain_text("已确认")
    office.keyboard.press("e")
    expect(office).to_have_url(re.compile("/cases/"))
    story.case_url = office.url
    await_map(office, "true")
    poll(office, "document.readyState === 'complete'")


def the_pledgor_is_called_and_will_not_pay(story: Story) -> None:
    office = story.page("recovery")
    office.get_by_role("button", name="显示").first.click()
    expect(office.locator(".contacts a[href^=tel]")).to_contain_text("13800138003")
    office.locator("#attempt [name=outcome][value=refused]").check()
    office.locator("#attempt [name=note]").fill("本人接听，表示无力还款，车已借给他人")
    if office.locator("[name=override_reason]").count():
        office.locator("[name=override_reason]").fill("本人要求此时回电")
    office.get_by_role("button", name="保存记录").click()
    expect(office.locator("#entries li.contact")).to_contain_text("无力还款", timeout=15_000)


def a_crew_is_sent_on_a_court_order(story: Story) -> str:
    """Return the address that goes to the crew's phone."""
    staff = story.served.as_("recovery")
    assert staff.put(f"{API}/yards/north", json=YARD).status_code == 200
    office = story.page("recovery")
    step = office.locator("#steps [aria-current]")
    office.get_by_role("button", name="开始找车").click()
    refreshed(office, step, "找车")
    expect(office.locator("#move-dispatched button")).to_be_disabled()
    office.locator("#ground [name=kind]").select_option("court_order")
    office.locator("#ground [name=reference]").fill("(2026)皖01执88号")
    office.locator("#ground [name=dated]").fill(f"{wall_now() - timedelta(days=20):%Y-%m-%d}")
    office.locator("#ground button").click()
    refreshed(office, office.locator(".ground.in_force b"), "法院文书")
    office.locator("#move-dispatched [name=crew]").fill("张队")
    office.locator("#move-dispatched button").click()
    refreshed(office, step, "派出收车")
    office.locator("#link button").click()
    address = office.locator("#crew-address")
    expect(address).to_have_value(re.compile(r"/crew/pwc_"))
    return address.input_value()


def the_crew_brings_it_into_the_yard_by_phone(story: Story, address: str) -> None:
    phone = story.page("crew", phone=True)
    phone.goto(address)
    expect(phone.locator(".never")).to_contain_text("立即停止并离开")
    phone.locator("input[type=file]").set_input_files(
        {"name": "IMG_1.jpg", "mimeType": "image/jpeg", "buffer": phone_jpeg()}
    )
    expect(phone.locator(".kinds li")).to_have_text(["车头"])
    phone.locator("[name=odometer_km]").fill(str(ODOMETER_KM))
    phone.get_by_role("button", name="确认已收车").click()
    expect(phone.locator("#yard [name=odometer_km]")).to_have_value(str(ODOMETER_KM))
    phone.locator("#yard [name=keys_count]").fill("2")
    phone.locator("#yard [name=no_belongings]").check()
    phone.locator("#yard [name=received_by]").fill("李库管")
    phone.get_by_role("button", name="确认入库").click()
    expect(phone.locator("h1")).to_have_text("已入库，谢谢")


# Value, and the way to a published lot


def disposal_finds_the_case_on_its_desk(story: Story) -> None:
    desk = sign_in(story, "disposal")
    desk.goto(story.at("/console"))
    row = desk.locator("a[href^='/console/cases/']", has_text=PLATE)
    reload_until(desk, row)
    expect(row).to_contain_text("处置依据")
    row.click()
    expect(desk.locator("#case-state")).to_have_text("待变卖")
    story.desk_url = desk.url


def the_vehicle_is_valued_with_reasons_and_comparables(story: Story) -> None:
    desk = story.page("disposal")
    desk.goto(story.at(f"/vehicles/{VEHICLE}?tab=value"))
    desk.get_by_role("button", name="重新估值").click()
    figure = desk.locator(".value-figure strong")
    expect(figure).to_contain_text(re.compile(r"\d"), timeout=15_000)
    factors = desk.locator("table.waterfall tbody tr")
    expect(factors.filter(has_text="市场水平")).to_have_count(1)
    expect(factors.filter(has_text="里程")).to_have_count(1)
    expect(desk.locator("table.waterfall tr.sum")).to_contain_text(figure.inner_text())
    assert desk.locator("section", has_text="折算到本车").locator("tbody tr").count() >= 3
    expect(desk.locator(".ltv strong")).to_contain_text("%")


def disposal_records_basis_and_appraisal(story: Story) -> None:
    desk = story.page("disposal")
    desk.goto(story.desk_url)
    desk.locator("#basis [name=kind]").select_option("contractual_self_sale")
    desk.locator("#basis [name=reference]").fill("抵押合同-3 第12条")
    desk.get_by_role("button", name="保存").first.click()
    call_done(desk, desk.locator("#basis"), "抵押合同-3")
    desk.locator("#appraisal").get_by_role("button", name="采用模型估值").click()
    call_done(desk, desk.locator("#appraisal"), "起始价不得低于评估价")


def disposal_drafts_a_short_lot_and_may_not_publish_it(story: Story) -> None:
    desk = story.page("disposal")
    now = wall_now().astimezone(ZoneInfo("Asia/Shanghai"))
    lasts = max(LASTS, timedelta(seconds=monotonic() - story.began_s))
    form = desk.locator("#draft")
    form.locator("[name=starts_at]").fill(local(now))
    form.locator("[name=ends_at]").fill(local(now + lasts))
    form.locator("[name=defects]").fill("前杠补漆")
    form.get_by_role("button", name="保存草稿").click()
    call_done(desk, desk.locator("#lot-state"), "草稿")
    desk.locator("[data-event=submit]").click()
    call_done(desk, desk.locator("#lot-state"), "待复核")
    expect(desk.locator("#lot")).to_contain_text("须由起草、提交人以外的人发布")
    story.lot_url = story.at(desk.locator("#lot a[href^='/lots/']").get_attribute("href") or "")


def a_second_person_publishes_it(story: Story) -> None:
    boss = sign_in(story, "admin")
    boss.goto(story.desk_url)
    boss.locator("[data-event=publish]").click()
    call_done(boss, boss.locator("#lot-state"), re.compile("公告中|竞价中"))


def local(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


# The sale


def a_bidder_signs_in_with_a_password_and_registers(story: Story) -> None:
    with story.served.town.connect() as conn:
        create_user(conn, "wang.wu", PASSWORD, ["bidder"], display_name="王五")
    page = story.page("bidder")
    page.goto(story.at("/lots"))
    page.get_by_role("link", name="登录").click()
    page.locator("[name=login]").fill("wang.wu")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("form[action='/sign-in'] button").click()
    expect(page.get_by_role("button", name="退出")).to_be_visible()
    page.goto(story.at("/lots"))
    page.locator(f"a[data-lot='{story.lot_id}']").click()
    await_lot(page)
    page.locator("#register-form [type=checkbox]").check()
    page.get_by_role("button", name="报名").click()
    expect(page.locator(".mine")).to_contain_text("待核验")


def a_second_person_verifies_and_credits_the_bidder(story: Story) -> None:
    boss = story.page("admin")
    boss.goto(story.at("/console"))
    row = boss.locator("#bidders li", has_text="王五")
    row.locator("form[data-call$='/verification'] [name=reference]").fill("KYC-0001")
    row.get_by_role("button", name="核验通过").click()
    call_done(boss, row, "已核验")
    row.locator("summary").click()
    row.locator("[name=amount]").fill("5万")
    row.locator("form[data-call$='/wallet-credits'] [name=reference]").fill("BANK-0001")
    row.get_by_role("button", name="入账").click()
    call_done(boss, row, "50,000")


def the_bidder_leaves_the_deposit(story: Story) -> None:
    page = story.page("bidder")
    page.reload()
    await_lot(page)
    page.locator("#hold-form button").click()
    expect(page.locator(".mine")).to_contain_text("已冻结")
    await_lot(page)
    expect(page.locator("#state")).to_have_text("竞价中")
    expect(page.locator("#countdown")).to_have_text(re.compile(r"\d:\d\d"))


def a_rival_without_a_browser_comes(story: Story) -> Person:
    sale = Sale(story.served, lot_id=story.lot_id)
    sale.come(1)
    return sale.people[0]


def the_bidder_bids_and_hears_of_being_outbid(story: Story, rival: Person) -> None:
    page = story.page("bidder")
    page.locator("#bid-next").click()
    expect(page.locator("#standing-text")).to_have_text("您当前领先")
    start = page.evaluate("window.__lot.state.start_price.amount_minor")
    answer = made(rival.bid(story.lot_id, start + RIVAL_MAX_MINOR))
    assert answer["status"] == "leading"
    expect(page.locator("#standing-text")).to_have_text("您已被超过", timeout=5_000)
    expect(page.locator("#leader")).to_have_text(rival.code)
    expect(page.locator("#bid-answer")).to_have_text("")


def the_bidder_bids_again_and_leads(story: Story, rival: Person) -> None:
    page = story.page("bidder")
    start = page.evaluate("window.__lot.state.start_price.amount_minor")
    page.locator("#amount").fill(str((start + 2 * RIVAL_MAX_MINOR) // 100))
    page.locator("#bid-form .amount button").click()
    expect(page.locator("#standing-text")).to_have_text("您当前领先")
    expect(page.locator("#leader")).not_to_have_text(rival.code)
    expect(page.locator("#history tr").first).to_have_class("own")
    price = page.evaluate("window.__lot.state.price.amount_minor")
    assert start + RIVAL_MAX_MINOR < price < start + 2 * RIVAL_MAX_MINOR, "one step above the rival's maximum"
    # A bid within the last half minute gives everybody half a minute.
    expect(page.locator("#extended")).to_have_text(re.compile(r"已延时 \d 次"))


def disposal_books_a_cost_while_the_clock_runs(story: Story) -> None:
    desk = story.page("disposal")
    desk.goto(story.lot_url)
    expect(desk.locator("#lot")).to_contain_text("处置方工作人员不得参与竞价")
    desk.goto(story.desk_url)
    costs = desk.locator("#costs")
    costs.locator("summary").click()
    costs.locator("[name=kind]").select_option("towing")
    costs.locator("[name=amount]").fill("800")
    costs.locator("[name=receipt]").fill("TC-17")
    costs.get_by_role("button", name="保存").click()
    call_done(desk, costs, "TC-17")


def the_hammer_falls_to_the_bidder(story: Story) -> None:
    page = story.page("bidder")
    expect(page.locator("#standing-text")).to_have_text("恭喜，您已成交", timeout=120_000)
    expect(page.locator("#state")).to_have_text("已成交")


# After the hammer


def the_payment_is_recorded_and_the_code_told_once(story: Story) -> None:
    desk = story.page("disposal")
    desk.goto(story.desk_url)
    expect(desk.locator("#settlement-state")).to_have_text("待付款")
    expect(desk.locator("#settlement")).to_contain_text("王五")
    desk.locator("#payment [name=reference]").fill("BANK-0002")
    desk.get_by_role("button", name="登记收款").click()
    code = desk.locator("#release-code")
    expect(code).to_be_visible()
    story.release_code = code.inner_text()
    desk.get_by_role("button", name="已记下").click()
    call_done(desk, desk.locator("#settlement-state"), "已付清")


def the_title_checklist_is_done_step_by_step(story: Story) -> None:
    desk = story.page("disposal")
    steps = [row.get_attribute("data-step") for row in desk.locator(".checklist li").all()]
    assert len(steps) >= 10
    for number, step in enumerate(steps, 1):
        row = desk.locator(f".checklist li[data-step={step}]")
        row.locator("[name=evidence]").fill(f"E-{number}")
        row.locator("button[value=done]").click()
        call_done(desk, row, f"E-{number}")
        expect(row).to_have_class("done")
    expect(desk.locator("#lot-state")).to_have_text("已过户")


def the_vehicle_is_handed_over_and_the_case_closed(story: Story) -> None:
    desk = story.page("disposal")
    desk.locator("#handover [name=release_code]").fill(story.release_code)
    desk.locator("#handover [name=odometer_km]").fill(str(ODOMETER_KM + 12))
    desk.get_by_role("button", name="确认交车").click()
    call_done(desk, desk.locator("#lot-state"), "已交车")
    expect(desk.locator("#waterfall")).to_contain_text("余款（归抵押人）")
    desk.get_by_role("button", name="入账并结案").click()
    call_done(desk, desk.locator("#lot-state"), "已结案")
    expect(desk.locator("#case-state")).to_have_text("已结案")
    office = story.page("recovery")
    office.goto(story.case_url)
    reload_until(office, office.locator("header .state", has_text="已结案"))


def the_protocol_is_downloaded(story: Story) -> Path:
    page = story.page("bidder")
    page.reload()
    link = page.get_by_role("link", name="竞价记录").get_attribute("href")
    answer = page.context.request.get(story.at(link or ""))
    assert answer.status == 200
    saved = story.folder / "protocol.json"
    saved.write_bytes(answer.body())
    return saved


def await_lot(page: Page) -> None:
    poll(page, "Boolean(window.__lot) && document.readyState === 'complete'")
