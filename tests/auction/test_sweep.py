"""What time does to lots: opening, the hammer, outages; once, at the right moment, after any restart."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from auction import service
from auction.log.store import events_after
from auction.lots import actions
from auction.lots.store import database_now
from auction.timers import store as timers
from auction.timers.sweep import sweep
from core.db.pool import Connection, connect
from tests.auction.chain import check_chain
from tests.auction.sales import OpenSale, accepted, open_sale
from tests.fix_stack import eventually

SECOND = timedelta(seconds=1)


@pytest.fixture
def conn(sales_database_url: str):
    with connect(sales_database_url, name="sweep", autocommit=True) as connection:
        # What other tests left behind is not due any more.
        connection.execute("UPDATE lot SET next_timer_at = NULL, timer_kind = NULL")
        connection.execute("TRUNCATE auction_beat, auction_outage")
        yield connection


def ended(conn: Connection, seconds: float = 10, **lot: Any) -> OpenSale:
    """A lot whose end and drain have passed."""
    now = database_now(conn)
    ends_at = now - seconds * SECOND
    return open_sale(conn, ends_at=ends_at, **{"starts_at": ends_at - 600 * SECOND, "drain_ms": 1_000, **lot})


def with_leader(conn: Connection, **lot: Any) -> OpenSale:
    sale = open_sale(conn, drain_ms=1_000, **lot)
    accepted(sale.bid(conn, 0, 80_000))
    accepted(sale.bid(conn, 1, 75_000))
    run_out(conn, sale)
    return sale


def run_out(conn: Connection, sale: OpenSale, seconds: float = 10) -> None:
    """Move the whole sale into the past, so that it ended so long ago."""
    conn.execute(
        "UPDATE lot SET starts_at = starts_at - d.t, ends_at = ends_at - d.t, planned_end_at = planned_end_at - d.t,"
        " next_timer_at = next_timer_at - d.t FROM (SELECT ends_at - clock_timestamp() + %s AS t FROM lot"
        " WHERE lot_id = %s) d WHERE lot_id = %s",
        (seconds * SECOND, sale.lot_id, sale.lot_id),
    )


def test_the_hammer_falls_once_with_its_whole_aftermath(conn: Connection) -> None:
    sale = with_leader(conn)
    assert sweep(conn) == 1
    lot = sale.lot(conn)
    assert (lot.state, lot.price_minor, lot.timer_kind) == ("hammered", 75_500_00, "pay_by")
    assert lot.hammered_at is not None
    assert sweep(conn) == 0
    assert check_chain(conn, sale.lot_id)[-1] == "lot.hammered"
    assert events_after(conn, sale.lot_id, 2)[0].payload == {"price_minor": 75_500_00, "code": "B0"}
    row = conn.execute("SELECT count(*), min(price_minor) FROM settlement WHERE lot_id = %s", (sale.lot_id,))
    assert row.fetchone() == (1, 75_500_00)
    states = conn.execute("SELECT state FROM registration WHERE lot_id = %s ORDER BY code", (sale.lot_id,))
    assert [state for (state,) in states] == ["winner", "released", "released"]


def test_a_lot_without_bids_or_below_its_reserve_ends_unsold(conn: Connection) -> None:
    nobody = ended(conn)
    short = with_leader(conn, reserve_minor=90_000_00)
    assert sweep(conn) == 2
    for sale, reason in ((nobody, "no_bids"), (short, "reserve_not_met")):
        assert sale.lot(conn).state == "unsold"
        assert events_after(conn, sale.lot_id)[-1].payload == {"reason": reason}
        case = conn.execute("SELECT state FROM disposal_case WHERE case_id = %s", (sale.case_id,)).fetchone()
        assert case == ("open",)


def test_nothing_falls_before_the_drain_has_passed(conn: Connection) -> None:
    sale = open_sale(
        conn, ends_at=database_now(conn) - SECOND, starts_at=database_now(conn) - 60 * SECOND, drain_ms=60_000
    )
    # A timer that is set too early, as after a bid whose extension it has not seen.
    conn.execute("UPDATE lot SET next_timer_at = clock_timestamp() WHERE lot_id = %s", (sale.lot_id,))
    assert sweep(conn) == 0
    lot = sale.lot(conn)
    assert (lot.state, lot.next_timer_at) == ("open", lot.ends_at + 60 * SECOND)


def test_a_timer_of_an_earlier_life_does_nothing(conn: Connection) -> None:
    sale = with_leader(conn)
    lot = sale.lot(conn)
    assert timers.call_decide(conn, sale.lot_id, lot.epoch - 1) == "stale"
    actions.suspend(conn, sale.lot_id, "stay", "x")
    assert timers.call_decide(conn, sale.lot_id, lot.epoch) == "stale"
    assert sweep(conn) == 0


def test_a_lot_opens_on_time_and_a_late_one_keeps_its_whole_duration(conn: Connection) -> None:
    now = database_now(conn)
    sales = []
    for late in (1, 3_600):
        sale = open_sale(conn, state="published", starts_at=now - late * SECOND, ends_at=now + 600 * SECOND)
        conn.execute(
            "UPDATE lot SET next_timer_at = starts_at, timer_kind = 'start' WHERE lot_id = %s", (sale.lot_id,)
        )
        sales.append(sale)
    assert sweep(conn) == 2
    prompt, late_one = (sale.lot(conn) for sale in sales)
    assert (prompt.state, late_one.state) == ("open", "open")
    assert prompt.ends_at == now + 600 * SECOND
    assert late_one.ends_at >= now + 4_200 * SECOND
    assert late_one.next_timer_at == late_one.ends_at + timedelta(milliseconds=late_one.drain_ms)


def test_everything_overdue_is_done_in_due_order_after_an_absence(conn: Connection) -> None:
    sales = [ended(conn, seconds=age) for age in (50, 4_000, 300_000)]
    assert sweep(conn, limit=2) == 2
    assert [sale.lot(conn).state for sale in sales] == ["open", "unsold", "unsold"]
    assert sweep(conn) == 1


def test_two_sweepers_close_each_lot_once(conn: Connection, sales_database_url: str) -> None:
    sales = [with_leader(conn) for _ in range(6)]
    done: list[int] = []

    def work() -> None:
        with connect(sales_database_url, name="other", autocommit=True) as own:
            done.append(sweep(own) + sweep(own))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sum(done) == 6
    for sale in sales:
        assert check_chain(conn, sale.lot_id).count("lot.hammered") == 1


def test_one_lot_that_cannot_be_closed_does_not_hold_up_the_others(conn: Connection) -> None:
    broken, whole = with_leader(conn), with_leader(conn)
    conn.execute("UPDATE disposal_case SET state = 'closed' WHERE case_id = %s", (broken.case_id,))
    assert sweep(conn) == 1
    assert (broken.lot(conn).state, whole.lot(conn).state) == ("open", "hammered")
    assert broken.lot(conn).seq == 2  # the event of the hammer went with its transaction
    retry_at = broken.lot(conn).next_timer_at
    assert retry_at is not None
    assert retry_at > database_now(conn)
    conn.execute("UPDATE disposal_case SET state = 'selling' WHERE case_id = %s", (broken.case_id,))
    eventually(lambda: sweep(conn), what="the second try")
    assert broken.lot(conn).state == "hammered"


def test_a_lot_that_somebody_holds_on_to_is_left_for_later(conn: Connection, sales_database_url: str) -> None:
    held, free = with_leader(conn), with_leader(conn)
    timers.limit_lock_waits(conn, 100)
    with connect(sales_database_url, name="holder") as holder:
        holder.execute("SELECT FROM lot WHERE lot_id = %s FOR UPDATE", (held.lot_id,))
        assert sweep(conn) == 1
        assert (held.lot(conn).state, free.lot(conn).state) == ("open", "hammered")
    eventually(lambda: sweep(conn), what="the lot that was held")
    assert held.lot(conn).state == "hammered"


def test_a_buyer_who_does_not_pay_in_time_is_in_default(conn: Connection) -> None:
    sale = with_leader(conn)
    sweep(conn)
    conn.execute("UPDATE settlement SET pay_by = clock_timestamp() WHERE lot_id = %s", (sale.lot_id,))
    conn.execute("UPDATE lot SET next_timer_at = clock_timestamp() WHERE lot_id = %s", (sale.lot_id,))
    assert sweep(conn) == 1
    assert (sale.lot(conn).state, sale.lot(conn).timer_kind) == ("defaulted", None)
    assert sweep(conn) == 0


# ------------------------------------------------------------------------------------------- outages
def silence(conn: Connection, seconds: float) -> None:
    """Let the last sign of life be so long ago."""
    conn.execute("UPDATE auction_beat SET at = clock_timestamp() - %s", (seconds * SECOND,))


def outages(conn: Connection) -> int:
    row = conn.execute("SELECT count(*) FROM auction_outage").fetchone()
    assert row is not None
    count: int = row[0]
    return count


def test_bidders_get_back_what_an_outage_near_the_end_took_and_a_grace(conn: Connection) -> None:
    timers.beat(conn, "sweeper")
    sale = with_leader(conn, outage_grace_ms=120_000)
    before = sale.lot(conn).ends_at
    silence(conn, 300)
    timers.beat(conn, "sweeper")
    assert outages(conn) == 1
    sweep(conn)
    lot = sale.lot(conn)
    assert lot.state == "open"
    assert timedelta(seconds=419) < lot.ends_at - before < timedelta(seconds=425)
    assert events_after(conn, sale.lot_id)[-1].kind == "lot.outage_extension"
    assert sweep(conn) == 0
    assert sale.lot(conn).extension_count == lot.extension_count
    run_out(conn, sale)  # the outage is made up for: it does not extend a second time
    sweep(conn)
    assert sale.lot(conn).state == "hammered"


def test_a_lot_far_from_its_end_is_not_extended(conn: Connection) -> None:
    timers.beat(conn, "api")
    sale = open_sale(conn, lasts=timedelta(hours=5))
    silence(conn, 300)
    timers.beat(conn, "api")
    sweep(conn)
    assert sale.lot(conn).seq == 0


def test_short_restarts_and_a_silence_of_one_role_are_no_outage(conn: Connection) -> None:
    timers.beat(conn, "sweeper")
    timers.beat(conn, "api")
    silence(conn, 29)
    timers.beat(conn, "sweeper")
    silence(conn, 300)
    conn.execute("UPDATE auction_beat SET at = clock_timestamp() WHERE role = 'api'")
    timers.beat(conn, "sweeper")
    assert outages(conn) == 0


def test_an_outage_over_the_end_postpones_the_hammer_until_people_can_bid_again(conn: Connection) -> None:
    timers.beat(conn, "sweeper")
    sale = with_leader(conn, outage_grace_ms=60_000)
    run_out(conn, sale, seconds=3_600)
    silence(conn, 3_700)
    timers.beat(conn, "api")  # whoever comes back first writes the outage down
    timers.beat(conn, "sweeper")
    assert outages(conn) == 1
    sweep(conn)
    lot = sale.lot(conn)
    assert lot.state == "open"
    assert lot.ends_at > database_now(conn) + 100 * SECOND
    accepted(sale.bid(conn, 2, 90_000))


# ------------------------------------------------------------------------------------------- process
def test_the_process_closes_lots_until_told_to_stop(conn: Connection, sales_database_url: str) -> None:
    sale = with_leader(conn)
    stop = threading.Event()
    thread = threading.Thread(
        target=service.run_sweeper, args=(sales_database_url, stop), kwargs={"production": False}
    )
    thread.start()
    try:
        eventually(lambda: sale.lot(conn).state == "hammered", what="the hammer")
        soon = open_sale(conn, lasts=timedelta(seconds=1), drain_ms=200, window_ms=0)
        eventually(lambda: soon.lot(conn).decided, what="the end of a running lot")
        lot = soon.lot(conn)
        event = events_after(conn, lot.lot_id)[-1]
        late = event.decided_at - lot.ends_at
        assert timedelta(milliseconds=200) <= late < timedelta(seconds=3)
        # The database throws it out; it comes back and goes on.
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pledgewatch-auction'"
            " AND datname = current_database()"
        )
        again = with_leader(conn)
        eventually(lambda: again.lot(conn).state == "hammered", what="the hammer after a lost connection")
    finally:
        stop.set()
        thread.join(timeout=20)
    assert not thread.is_alive()
    beats = conn.execute("SELECT role FROM auction_beat").fetchall()
    assert ("sweeper",) in beats


def test_lots_open_in_production_only_on_a_server_that_keeps_what_it_committed(conn: Connection) -> None:
    kept = timers.durability(conn).kept
    assert service.may_open(conn, production=True) is kept
    assert service.may_open(conn, production=False) is True
    assert not timers.Durability("off", "on", "on").kept
    assert not timers.Durability("on", "off", "on").kept
    assert timers.Durability("on", "on", "on").kept
    sale = open_sale(conn, state="published", starts_at=database_now(conn) - SECOND)
    conn.execute(
        "UPDATE lot SET next_timer_at = starts_at, timer_kind = 'start' WHERE lot_id = %s", (sale.lot_id,)
    )
    assert sweep(conn, opening=False) == 0
    assert sweep(conn) == 1


def test_a_database_that_goes_away_is_told_to_the_caller(sales_database_url: str) -> None:
    with connect(sales_database_url, name="sweep", autocommit=True) as conn:
        conn.execute("SELECT set_config('application_name', 'doomed', false)")
        with connect(sales_database_url, name="killer", autocommit=True) as killer:
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doomed'"
            )
        with pytest.raises(psycopg.OperationalError):
            sweep(conn)
