"""The sale in a real browser: a bidder registers, bids and is outbid; staff take a case from basis to close."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from collateral.staff.access import create_sign_in_link
from core.clock import monotonic
from tests.api.sale_scene import API, START, STEP, Sale, made
from tests.fix_api import Served, Town
from tests.fix_browser import Visit, poll

pytestmark = [pytest.mark.slow, pytest.mark.db, pytest.mark.browser]


@pytest.fixture
def demo_pack(town: Town) -> None:
    town.settings = town.settings.model_copy(update={"policy_pack": "demo"})


@pytest.fixture
def sale(demo_pack: None, served: Served) -> Sale:
    return Sale(served)


def sign_in(page: Page, sale: Sale, role: str) -> None:
    with sale.served.town.connect() as conn:
        link = create_sign_in_link(conn, role)
    page.goto(f"{sale.served.base_url}/sign-in/{link}")
    expect(page).not_to_have_url(re.compile("sign-in"))


def ready(page: Page) -> None:
    poll(page, "Boolean(window.__lot) && document.getElementById('countdown').textContent !== '–'")


def press(button: Locator) -> None:
    """Click once the page's module listens; before that a click does nothing."""
    expect(button.page.locator("html[data-ready]")).to_have_count(1)
    button.click()


def test_a_bidder_registers_bids_and_learns_at_once_that_somebody_was_higher(sale: Sale, visit: Visit):
    sale.publish()
    sale.come(1)
    sale.open()
    rival = sale.people[0]
    watcher = visit.open(phone=True)
    watcher.goto(f"{sale.served.base_url}/lots")
    watcher.get_by_role("link", name=re.compile("骏驰 A6 2022")).click()
    ready(watcher)
    expect(watcher.locator("#countdown")).to_have_text(re.compile(r"^0\d:\d\d"))
    expect(watcher.get_by_role("link", name="登录后参与竞价")).to_be_visible()
    assert (
        watcher.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    )
    assert "拍" + "卖" not in watcher.locator("body").inner_text()

    page = visit.open()
    sign_in(page, sale, "bidder")
    expect(page).to_have_url(re.compile("/lots$"))
    page.goto(f"{sale.served.base_url}/lots/{sale.lot_id}")
    ready(page)
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="报名").click()
    expect(page.locator("#hold-form")).to_be_visible()
    expect(page.locator("#bid-hint")).to_contain_text("身份核验")
    bidder = next(b for b in sale.staff.get(f"{API}/bidders").json()["items"] if b["kyc_state"] == "pending")
    sale.staff.post(f"{API}/bidders/{bidder['id']}/verification", json={"reference": "K-9"})
    credit = {"amount": {"amount_minor": 5_000_000, "currency": "CNY"}, "reference": "in-9"}
    made(sale.staff.post(f"{API}/bidders/{bidder['id']}/wallet-credits", json=credit))
    page.reload()
    page.get_by_role("button", name="冻结保证金").click()
    expect(page.locator("#bid-next")).to_be_enabled()

    # One click on the next minimum, with the keyboard.
    expect(page.locator("#bid-next")).to_have_text("出价 ¥60,000")
    page.locator("#bid-next").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#standing-text")).to_have_text("您当前领先")
    expect(watcher.locator("#price")).to_have_text("¥60,000")
    expect(watcher.locator("#history tr")).to_have_count(1)
    made(rival.bid(sale.lot_id, START + 4 * STEP))
    expect(page.locator("#standing-text")).to_have_text("您已被超过")
    expect(page.locator("#price")).to_have_text("¥61,000")
    expect(page.locator("#spoken")).to_contain_text("您已被超过")

    # A proxy below the rival's: taken, and overtaken in the same moment; the page says so.
    page.locator("#amount").fill("6.3万")
    page.get_by_role("button", name="出价", exact=True).click()
    expect(page.locator("#bid-answer")).to_contain_text("已被他人的委托价超过")
    expect(page.locator("#price")).to_have_text("¥64,000")
    page.locator("#amount").fill("64000.001")
    page.get_by_role("button", name="出价", exact=True).click()
    expect(page.locator("#bid-answer")).to_contain_text("请填写金额")

    # An amount far above the appraisal asks again, and "no" bids nothing.
    page.locator("#amount").fill("300000")
    page.get_by_role("button", name="出价", exact=True).click()
    expect(page.locator("#confirm-amount")).to_have_text("¥300,000")
    page.get_by_role("button", name="返回修改").click()
    assert sale.lot()["bid_count"] == 3
    page.get_by_role("button", name="出价", exact=True).click()
    page.get_by_role("button", name="确认出价").click()
    expect(page.locator("#standing-text")).to_have_text("您当前领先")
    expect(page.locator("#own-max")).to_contain_text("¥300,000")
    assert "300" not in watcher.locator("#lot").inner_text().replace("30 秒", "")

    # Cut off while others bid: nothing is missing afterwards.
    watcher.context.set_offline(True)
    made(rival.bid(sale.lot_id, START + 12 * STEP))
    watcher.context.set_offline(False)
    expect(watcher.locator("#history tr")).to_have_count(5, timeout=60_000)

    sale.shift("planned_end_at = clock_timestamp() + interval '100 ms', ends_at = clock_timestamp() + interval '20 s',"
               " extension_count = 1")  # fmt: skip
    page.reload()
    ready(page)
    expect(page.locator("#countdown")).to_have_text(re.compile(r"^00:\d\d\.\d$"))
    expect(page.locator("#extended")).to_have_text("已延时 1 次")
    sale.end()
    expect(page.locator("#standing-text")).to_have_text("恭喜，您已成交")
    expect(watcher.locator("#state")).to_have_text("已成交")
    visit.faults[:] = [fault for fault in visit.faults if "ERR_INTERNET_DISCONNECTED" not in fault]


def test_a_lost_answer_is_asked_for_again_and_the_bid_counts_once(sale: Sale, visit: Visit):
    sale.publish()
    sale.come(1)
    sale.open()
    page = visit.open()
    token = sale.people[0].client.headers["Authorization"]
    page.set_extra_http_headers({"Authorization": token})
    page.goto(f"{sale.served.base_url}/lots/{sale.lot_id}")
    ready(page)
    lost: list[str] = []

    def lose_the_first(route):
        lost.append(route.request.headers["idempotency-key"])
        if len(lost) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/bids", lose_the_first)
    page.locator("#bid-next").click()
    expect(page.locator("#bid-answer")).to_contain_text("出价成功")
    assert len(lost) >= 2
    assert len(set(lost)) == 1, "the key stays the same"
    assert sale.lot()["bid_count"] == 1
    visit.faults[:] = [fault for fault in visit.faults if "ERR_FAILED" not in fault]


def test_staff_take_a_case_from_its_basis_to_its_close(sale: Sale, visit: Visit):
    sale.open_case()
    page, second = visit.open(), visit.open(color_scheme="dark")
    sign_in(page, sale, "disposal")
    sign_in(second, sale, "admin")
    url = f"{sale.served.base_url}/console/cases/{sale.case_id}"
    page.goto(f"{sale.served.base_url}/console")
    page.get_by_role("link", name=re.compile("皖A00001")).click()
    expect(page.locator(".stages .here")).to_contain_text("处置依据")
    page.locator("#basis [name=kind]").select_option("contractual_self_sale")
    page.locator("#basis [name=reference]").fill("合同-7 第12条")
    press(page.get_by_role("button", name="保存").first)
    expect(page.locator(".stages .here")).to_contain_text("评估")
    page.locator("#appraisal [name=value]").fill("8万")
    page.locator("#appraisal [name=valued_on]").fill(sale.terms()["starts_at"][:10])
    page.locator("#appraisal [name=appraiser]").fill("衡正评估")
    expect(page.locator("html[data-ready]")).to_have_count(1)
    page.locator("#appraisal [name=appraiser]").press("Enter")
    expect(page.locator(".stages .here")).to_contain_text("起草")
    expect(page.locator("#draft [name=start_minor]")).to_have_value("56000")
    page.locator("#draft [name=start_minor]").fill("60,000")
    press(page.get_by_role("button", name="保存草稿"))
    expect(page.locator("#lot-state")).to_have_text("草稿")
    press(page.get_by_role("button", name="提交复核"))
    expect(page.locator("#lot-state")).to_have_text("待复核")
    press(page.get_by_role("button", name="发布"))
    expect(page.locator("#toasts .fault")).to_be_visible()
    second.goto(url)
    press(second.get_by_role("button", name="发布"))
    expect(second.locator("#lot-state")).to_have_text("公告中")

    sale.lot_id = sale.stranger.get(f"{API}/lots").json()["items"][0]["id"]
    sale.come(1)
    sale.open()
    page.goto(url)
    page.get_by_text("暂停", exact=True).click()
    page.locator("[name=reason_class]").first.select_option("stay")
    page.locator("details[open] [name=reason]").fill("法院来函")
    press(page.get_by_role("button", name="申请暂停"))
    expect(page.locator(".question")).to_contain_text("须由另一人复核")
    second.reload()
    press(second.locator(".question").get_by_role("button", name="同意"))
    expect(second.locator("#lot-state")).to_have_text("已暂停")
    page.reload()
    press(page.get_by_role("button", name="恢复"))
    expect(page.locator(".question")).to_contain_text("恢复")
    second.reload()
    press(second.locator(".question").get_by_role("button", name="同意"))
    expect(second.locator("#lot-state")).to_have_text("竞价中")
    made(sale.people[0].bid(sale.lot_id, START))
    sale.end()

    page.goto(url)
    expect(page.locator("#open-amount")).to_have_text("¥54,000")
    page.locator("#payment [name=reference]").fill("bank-77")
    press(page.get_by_role("button", name="登记收款"))
    code = page.locator("#release-code")
    expect(code).to_have_text(re.compile(r"^\w{4}-\w{4}-\w{4}$"))
    release_code = code.inner_text()
    press(page.get_by_role("button", name="已记下"))
    expect(page.locator(".checklist li.todo")).to_have_count(13)
    page.locator("[data-step=insurance] [name=evidence]").fill("随车转移")
    press(page.locator("[data-step=insurance]").get_by_role("button", name="申请免除"))
    expect(page.locator(".question")).to_contain_text("保险状态")
    second.goto(url)
    press(second.locator(".question").get_by_role("button", name="同意"))
    expect(second.locator("[data-step=insurance] .state")).to_have_text("已免除")
    for step in [
        s["step"]
        for s in sale.settlement()["title_steps"]
        if s["step"] not in {"insurance", "buyer_identity"}
    ]:
        if step not in {"transfer_filed", "new_certificate"}:
            sale.staff.post(f"{API}/settlements/{sale.settlement()['id']}/title-steps/{step}",
                            json={"state": "done", "evidence": "E"})  # fmt: skip
    page.reload()
    for step in ("buyer_identity", "transfer_filed", "new_certificate"):
        page.locator(f"[data-step={step}] [name=evidence]").fill("E-1")
        press(page.locator(f"[data-step={step}]").get_by_role("button", name="完成"))
        expect(page.locator(f"[data-step={step}] .state")).to_have_text("完成")
    expect(page.locator("#lot-state")).to_have_text("已过户")
    page.locator("#handover [name=release_code]").fill(release_code)
    page.locator("#handover [name=odometer_km]").fill("84000")
    press(page.get_by_role("button", name="确认交车"))
    expect(page.locator("#lot-state")).to_have_text("已交车")
    press(page.get_by_role("button", name="入账并结案"))
    expect(page.locator("#case-state")).to_have_text("已结案")
    expect(page.locator("#waterfall h2")).to_contain_text("已入账")
    visit.faults[:] = [fault for fault in visit.faults if "403 (Forbidden)" not in fault]


def test_every_page_of_the_sale_has_its_words_in_both_languages(sale: Sale, visit: Visit):
    sale.sell()
    sale.pay()
    page = visit.open()
    sign_in(page, sale, "admin")
    began = monotonic()
    for language in ("zh-CN", "en"):
        for path in (
            "/lots",
            "/lots?ended=1",
            f"/lots/{sale.lot_id}",
            "/console",
            f"/console/cases/{sale.case_id}",
        ):
            page.goto(sale.served.base_url + path)
            assert page.locator("html").get_attribute("lang") == language
            text = page.locator("body").inner_text()
            assert not re.search(r"\b(lot|lots|console|nav|js|step|cost|basis)\.[a-z_]+", text), (path, text)
        page.locator("form.language button").click()
        page.wait_for_load_state()
    words = json.loads(page.locator("body").get_attribute("data-texts") or "{}")
    assert words["lot.you.leads"]
    assert monotonic() - began < 60
