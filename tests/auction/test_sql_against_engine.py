"""Random histories of a lot: the pure engine and the database must say the same, event for event.

Time passes by moving the times of the lot into the past, so that borders are met to the microsecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from auction.domain import BidAccepted, BidRefused, Rejection, Step
from auction.engine.apply import apply
from auction.engine.bidding import min_next
from auction.engine.state import (
    Bid,
    Done,
    End,
    NotYet,
    Open,
    Placed,
    Refused,
    Result,
    Resume,
    Suspend,
    Withdraw,
)
from auction.log.store import events_after
from auction.lots import actions
from auction.lots.sale import public, sale_of
from auction.lots.store import database_now, steps_json
from auction.timers.store import call_decide
from core.db.migrate import FUNCTIONS
from core.db.pool import Connection
from core.errors import Conflict, Unavailable
from tests.auction.chain import check_chain
from tests.auction.sales import OpenSale, open_sale

TICK = 100_00
TABLES = (
    (Step(0, 500_00),),
    (Step(0, 500_00), Step(60_700_00, 1_300_00), Step(63_100_00, 200_00)),
    (Step(0, 100_00), Step(61_000_00, 3_000_00)),
)
SECOND = timedelta(seconds=1)
US = timedelta(microseconds=1)
who = st.integers(0, 2)
modes = st.sampled_from(["proxy", "proxy", "exact"])


class TwoEngines(RuleBasedStateMachine):
    """``model`` is the pure engine's sale; the database has the other one."""

    conn: Connection
    made: OpenSale

    @initialize(
        steps=st.sampled_from(TABLES),
        reserve=st.sampled_from([None, None, 60_000_00, 62_500_00]),
        hard_s=st.sampled_from([None, None, 0, 400, 700]),
        state=st.sampled_from(["open", "open", "open", "published"]),
    )
    def begin(self, steps: Any, reserve: int | None, hard_s: int | None, state: str) -> None:
        self.transaction = self.conn.transaction(force_rollback=True)
        self.transaction.__enter__()
        self.sale = self.made  # one lot, rolled back after each history
        self.conn.execute(
            "UPDATE lot SET steps = %s, reserve_minor = %s, state = %s, hard_end_at = starts_at + %s,"
            " starts_at = t.at - interval '60 s', ends_at = t.at + interval '400 s',"
            " planned_end_at = t.at + interval '400 s', next_timer_at = CASE %s WHEN 'open' THEN t.at + %s END,"
            " timer_kind = CASE %s WHEN 'open' THEN 'end' END"
            " FROM (SELECT clock_timestamp() AS at) t WHERE lot_id = %s",
            (
                steps_json(steps), reserve, state, None if hard_s is None else (hard_s + 60) * SECOND,
                state, 460 * SECOND, state, self.sale.lot_id,
            ),
        )  # fmt: skip
        self.eligible = [True, True, True]
        self.model = sale_of(self.sale.lot(self.conn))
        self.seen = 0

    def teardown(self) -> None:
        if hasattr(self, "transaction"):
            check_chain(self.conn, self.sale.lot_id)
            self.transaction.__exit__(None, None, None)

    # -------------------------------------------------------------------------------- what happens
    @rule(who=who, ticks=st.integers(-2, 45), mode=modes, confirm=st.booleans())
    def bid(self, who: int, ticks: int, mode: str, confirm: bool) -> None:
        self._bid(who, min_next(self.model) + ticks * TICK, mode, confirm_high=confirm)

    @rule(who=who, off=st.sampled_from([-TICK, 0, 0, TICK, 7]), mode=modes)
    def bid_about_what_the_leader_would_pay(self, who: int, off: int, mode: str) -> None:
        self._bid(who, (self.model.leader_max_minor or self.model.start_minor) + off, mode)

    @rule(who=who, amount=st.sampled_from([300_000_00, 300_100_00]), confirm=st.booleans())
    def bid_very_high(self, who: int, amount: int, confirm: bool) -> None:
        self._bid(who, amount, "proxy", confirm_high=confirm)

    @rule(who=who, right=st.booleans())
    def bid_at_an_expected_price(self, who: int, right: bool) -> None:
        price = self.model.price_minor or self.model.start_minor
        expected = price if right else price + TICK
        self._bid(who, min_next(self.model), "proxy", expected_price_minor=expected)

    @rule(
        who=who,
        anchor=st.sampled_from(["starts_at", "window", "ends_at", "drained", "hard_end_at"]),
        off=st.sampled_from([-US, timedelta(0), US]),
    )
    def bid_on_a_border_of_time(self, who: int, anchor: str, off: timedelta) -> None:
        border = {
            "starts_at": self.model.starts_at,
            "window": self.model.ends_at - 30 * SECOND,
            "ends_at": self.model.ends_at,
            "drained": self.model.ends_at + 60 * SECOND,
            "hard_end_at": self.model.hard_end_at or self.model.ends_at,
        }[anchor]
        arrived = border + off
        ahead = arrived + 5 * SECOND - database_now(self.conn)
        if not -50 * SECOND < ahead < timedelta(0):
            self._pass(ahead)  # so that it came five seconds ago
            arrived -= ahead
        self._bid(who, min_next(self.model) + 3 * TICK, "proxy", arrived_at=arrived)

    @rule(who=who)
    def bid_that_waited_too_long(self, who: int) -> None:
        arrived = database_now(self.conn) - 61 * SECOND
        with pytest.raises(Unavailable):
            self.sale.bid(self.conn, who, min_next(self.model) // 100, arrived_at=arrived)

    @rule(seconds=st.sampled_from([1, 10, 29, 60, 300]))
    def time_passes(self, seconds: int) -> None:
        self._pass(seconds * SECOND)

    @rule(who=who)
    def a_bidder_is_barred(self, who: int) -> None:
        self.eligible[who] = False
        self.conn.execute(
            "UPDATE registration SET state = 'barred' WHERE lot_id = %s AND bidder_id = %s",
            (self.sale.lot_id, self.sale.bidders[who]),
        )

    @rule()
    def the_end_timer_fires(self) -> None:
        outcome = call_decide(self.conn, self.sale.lot_id, self.model.epoch)
        events = events_after(self.conn, self.sale.lot_id, self.seen)
        now = events[0].decided_at if events else database_now(self.conn)
        result = self._tell(End(), now)
        expected = {Done: self.model.state, NotYet: "rearmed"}.get(type(result), "stale")
        assert outcome == expected

    @precondition(lambda self: self.model.state == "open")
    @rule()
    def the_timer_of_another_epoch_fires(self) -> None:
        assert call_decide(self.conn, self.sale.lot_id, self.model.epoch - 1) == "stale"

    @rule()
    def the_start_timer_fires(self) -> None:
        self._staff(Open(), lambda: actions.open_on_time(self.conn, self.sale.lot_id))

    @rule()
    def two_people_suspend_it(self) -> None:
        self._staff(Suspend("stay"), lambda: actions.suspend(self.conn, self.sale.lot_id, "stay", "a"))

    @rule()
    def two_people_resume_it(self) -> None:
        self._staff(Resume(), lambda: actions.resume(self.conn, self.sale.lot_id, "a"))

    @precondition(lambda self: self.model.bid_count > 3)
    @rule()
    def the_loan_is_redeemed(self) -> None:
        self._staff(Withdraw("redeemed"), lambda: actions.redeem(self.conn, self.sale.lot_id, "a"))

    # --------------------------------------------------------------------------- what must be equal
    @invariant()
    def the_row_is_what_the_engine_says(self) -> None:
        if not hasattr(self, "sale"):
            return
        lot = self.sale.lot(self.conn)
        code = None
        if lot.leader_id is not None:
            row = self.conn.execute(
                "SELECT code FROM registration WHERE registration_id = %s", (lot.leader_id,)
            )
            code = row.fetchone()[0]  # type: ignore[index]
        assert sale_of(lot, code) == self.model
        if lot.timer_kind == "end":
            assert lot.next_timer_at == lot.ends_at + timedelta(milliseconds=lot.drain_ms)
        assert (lot.timer_kind == "end") == (lot.state == "open")

    def _bid(self, who: int, amount_minor: int, mode: str, **others: Any) -> None:
        common: dict[str, Any] = {
            "confirm_high": others.get("confirm_high", False),
            "expected_price_minor": others.get("expected_price_minor"),
        }
        answer: BidAccepted | BidRefused | Rejection
        try:
            answer = actions_bid(
                self.sale, self.conn, who, amount_minor, mode, others.get("arrived_at"), common
            )
        except Unavailable as busy:
            arrived, decided = (
                datetime.fromisoformat(str(busy.facts[n])) for n in ("arrived_at", "decided_at")
            )
            answer = Rejection.BUSY
        else:
            if isinstance(answer, BidAccepted):
                arrived, decided = answer.arrived_at, answer.decided_at
            else:
                arrived, decided = (
                    datetime.fromisoformat(answer.facts[n]) for n in ("arrived_at", "decided_at")
                )
        before = self.model
        command = Bid(f"B{who}", amount_minor, mode, arrived, self.eligible[who], **common)  # type: ignore[arg-type]
        result = self._tell(command, decided)
        if isinstance(answer, BidAccepted):
            assert result == Placed(
                answer.leading, answer.price_minor, answer.min_next_minor, answer.ends_at, answer.extended
            )
            assert answer.lot_seq == self.seen
        else:
            said = answer if isinstance(answer, Rejection) else answer.rejection
            assert result == Refused(said)
            assert self.model is before

    def _staff(self, command: Any, act: Any) -> None:
        before = events_after(self.conn, self.sale.lot_id, self.seen)
        assert before == []
        try:
            with self.conn.transaction():
                act()
        except Conflict:
            assert not isinstance(apply(self.model, command, database_now(self.conn))[2], Done)
            return
        events = events_after(self.conn, self.sale.lot_id, self.seen)
        assert isinstance(self._tell(command, events[0].arrived_at), Done)

    def _tell(self, command: Any, now: datetime) -> Result:
        """Tell the model, and compare the events that it says with those that were stored."""
        self.model, said, result = apply(self.model, command, now)
        stored = events_after(self.conn, self.sale.lot_id, self.seen)
        self.seen += len(stored)
        without = [
            (event.kind, {name: value for name, value in event.payload.items() if name != "commitment"})
            for event in stored
        ]
        assert without == [(event.kind, public(event.payload)) for event in said]
        return result

    def _pass(self, time: timedelta) -> None:
        self.conn.execute(
            "UPDATE lot SET starts_at = starts_at - %(t)s, ends_at = ends_at - %(t)s, hard_end_at = hard_end_at - %(t)s,"
            " planned_end_at = planned_end_at - %(t)s, next_timer_at = next_timer_at - %(t)s WHERE lot_id = %(lot)s",
            {"t": time, "lot": self.sale.lot_id},
        )
        hard = self.model.hard_end_at
        self.model = replace(
            self.model,
            starts_at=self.model.starts_at - time,
            ends_at=self.model.ends_at - time,
            hard_end_at=None if hard is None else hard - time,
        )


def actions_bid(
    sale: OpenSale,
    conn: Connection,
    who: int,
    amount_minor: int,
    mode: str,
    arrived: datetime | None,
    common: Any,
) -> BidAccepted | BidRefused:
    from auction.bids.place import place_bid

    return place_bid(
        conn, lot_id=sale.lot_id, bidder_id=sale.bidders[who], max_minor=amount_minor, mode=mode,  # type: ignore[arg-type]
        arrived_at=arrived, **common,
    )  # fmt: skip


def compare(sales_db: Connection, examples: int, phases: Sequence[Phase] = tuple(Phase)) -> None:
    sale = open_sale(sales_db, drain_ms=60_000, window_ms=30_000, extension_ms=40_000, min_resume_ms=20_000)
    machine = type("Machine", (TwoEngines,), {"conn": sales_db, "made": sale})
    run(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=12, deadline=None,
            suppress_health_check=list(HealthCheck), phases=phases,
        ),
    )  # fmt: skip


def test_the_database_and_the_pure_engine_tell_the_same_story(sales_db: Connection) -> None:
    compare(sales_db, 300)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("rule", "mutant"),
    [
        ("least(p_max, v_best + auction_step(l.steps, v_best))", "p_max"),
        ("v_best IS NULL OR p_max > v_best", "v_best IS NULL OR p_max >= v_best"),
        ("arrived_at <= l.window_ms", "arrived_at < l.window_ms"),
        ("WHEN arrived_at >= l.ends_at THEN", "WHEN arrived_at > l.ends_at THEN"),
        ("v_best + auction_step(l.steps, v_best)", "v_best + auction_step(l.steps, l.price_minor)"),
    ],
)
def test_a_rule_that_is_changed_in_the_database_is_noticed(
    sales_db: Connection, rule: str, mutant: str
) -> None:
    text = (FUNCTIONS / "auction_place_bid.sql").read_text(encoding="utf-8")
    assert rule in text
    sales_db.execute(text.replace(rule, mutant).encode())
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        compare(sales_db, 2_000, phases=(Phase.generate,))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_they_tell_the_same_story_ten_thousand_times(sales_db: Connection) -> None:
    compare(sales_db, 10_000)
