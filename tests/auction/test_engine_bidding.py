"""Who leads and at what price: the closed form against a ladder climbed tick by tick, and each rule alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auction.domain import Rejection, Step
from auction.engine.apply import apply
from auction.engine.bidding import min_next
from auction.engine.state import Bid, Placed, Refused, Sale
from tests.auction.ladder import duel, increment

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
TICK = 5
# Tiers whose borders are not multiples of their increments, and one that falls.
STEPS = (Step(0, 10), Step(100, 25), Step(160, 60), Step(415, 20))


def sale(**changes: Any) -> Sale:
    return replace(
        Sale(
            state="open", start_minor=50, tick_minor=TICK, steps=STEPS, high_minor=10_000, window_ms=300_000,
            extension_ms=300_000, drain_ms=3_000, starts_at=NOON - timedelta(hours=1),
            ends_at=NOON + timedelta(hours=1),
        ),
        **changes,
    )  # fmt: skip


def bid(bidder: str, amount: int, mode: Any = "proxy", at: datetime = NOON, **others: Any) -> Bid:
    return Bid(bidder, amount, mode, at, **others)


def after(start: Sale, *bids: Bid) -> Sale:
    state = start
    for one in bids:
        state, _, answer = apply(state, one, one.arrived_at)
        assert isinstance(answer, Placed), answer
    return state


def refusal(state: Sale, one: Bid) -> Rejection:
    same, events, answer = apply(state, one, one.arrived_at)
    assert isinstance(answer, Refused), answer
    assert same is state
    assert events == ()
    return answer.rejection


def test_a_higher_maximum_pays_one_increment_above_the_beaten_one():
    state = after(sale(), bid("A", 95), bid("B", 400))
    assert (state.leader, state.price_minor, state.second_max_minor) == ("B", 105, 95)


def test_a_maximum_just_above_the_beaten_one_is_paid_in_full():
    state = after(sale(), bid("A", 155), bid("B", 160))
    assert (state.leader, state.price_minor) == ("B", 160)


def test_of_two_equal_maxima_the_earlier_keeps_the_lead_and_pays_it_all():
    state = after(sale(), bid("A", 300), bid("B", 300))
    assert (state.leader, state.price_minor, state.second_max_minor) == ("A", 300, 300)


def test_a_leader_who_raises_his_maximum_does_not_bid_against_himself():
    before = after(sale(ends_at=NOON + timedelta(minutes=1)), bid("A", 300))
    state, events, answer = apply(before, bid("A", 500), NOON)
    assert (state.price_minor, state.leader_max_minor, state.ends_at) == (50, 500, before.ends_at)
    assert [(event.kind, event.payload) for event in events] == [("proxy.raised", {"code": "A"})]
    assert isinstance(answer, Placed)
    assert refusal(state, bid("A", 500)) is Rejection.SELF_RAISE_TOO_LOW


def test_an_exact_bid_jumps_to_its_amount():
    assert after(sale(), bid("A", 300, "exact")).price_minor == 300
    assert after(sale(), bid("A", 95), bid("B", 300, "exact")).price_minor == 300
    # A jump below the leader's maximum is answered like any other bid.
    assert after(sale(), bid("A", 300), bid("B", 200, "exact")).price_minor == 260


def test_a_maximum_that_reaches_the_reserve_jumps_to_it():
    state = after(sale(reserve_minor=200), bid("A", 195))
    assert (state.price_minor, state.reserve_met) == (50, False)
    state = after(state, bid("B", 300))
    assert (state.price_minor, state.reserve_met) == (255, True)
    alone = after(sale(reserve_minor=200), bid("A", 900))
    assert (alone.price_minor, alone.reserve_met) == (200, True)


def test_raising_ones_own_maximum_to_the_reserve_moves_the_price_but_not_the_end():
    start = sale(reserve_minor=200, ends_at=NOON + timedelta(minutes=1), extension_ms=0)
    state = after(start, bid("A", 195))
    state, events, _ = apply(replace(state, extension_ms=300_000), bid("A", 250), NOON)
    assert (state.price_minor, state.reserve_met, state.ends_at) == (200, True, start.ends_at)
    assert [event.kind for event in events] == ["bid.accepted"]


def test_only_bids_inside_the_window_move_the_end():
    minute = timedelta(minutes=1)
    early = sale(ends_at=NOON + 6 * minute)
    assert after(early, bid("A", 100)).ends_at == early.ends_at
    state = after(sale(ends_at=NOON + 5 * minute), bid("A", 100, at=NOON + minute))
    assert (state.ends_at, state.extension_count) == (NOON + 6 * minute, 1)
    # On the border of the window there is nothing to add.
    state = after(sale(ends_at=NOON + 5 * minute), bid("A", 100))
    assert (state.ends_at, state.extension_count) == (NOON + 5 * minute, 0)


def test_the_hard_end_caps_extensions_and_never_shortens():
    minute = timedelta(minutes=1)
    state = after(sale(ends_at=NOON + minute, hard_end_at=NOON + 3 * minute), bid("A", 100))
    assert state.ends_at == NOON + 3 * minute
    state = after(sale(ends_at=NOON + minute, hard_end_at=NOON), bid("A", 100))
    assert state.ends_at == NOON + minute


def test_refused_bids_never_hold_a_sale_open():
    late = sale(ends_at=NOON + timedelta(seconds=1))
    for one in (bid("A", 45), bid("A", 52), bid("A", 100, eligible=False), bid("A", 20_000)):
        assert apply(late, one, NOON)[0].ends_at == late.ends_at


@pytest.mark.parametrize(
    ("changes", "one", "expected"),
    [
        ({"state": "published"}, bid("A", 60), Rejection.NOT_STARTED),
        ({"starts_at": NOON + timedelta(seconds=1)}, bid("A", 60), Rejection.NOT_STARTED),
        ({"state": "suspended"}, bid("A", 60), Rejection.LOT_NOT_OPEN),
        ({"ends_at": NOON}, bid("A", 60), Rejection.LOT_CLOSING),
        ({"ends_at": NOON - timedelta(seconds=3)}, bid("A", 60), Rejection.LOT_CLOSED),
        ({"state": "hammered", "ends_at": NOON}, bid("A", 60), Rejection.LOT_CLOSED),
        ({"state": "hammered"}, bid("A", 60), Rejection.BUSY),
        ({}, bid("A", 60, eligible=False), Rejection.NOT_ELIGIBLE),
        ({}, bid("A", 60, expected_price_minor=55), Rejection.PRICE_CHANGED),
        ({}, bid("A", 57), Rejection.OFF_GRID),
        ({}, bid("A", 45), Rejection.BID_TOO_LOW),
        ({}, bid("A", 10_005), Rejection.CONFIRM_HIGH_REQUIRED),
    ],
)
def test_each_refusal_has_its_own_reason(changes, one, expected):
    assert refusal(sale(**changes), one) is expected


def test_an_unusually_high_amount_counts_once_confirmed():
    assert after(sale(), bid("A", 10_005, confirm_high=True)).leader_max_minor == 10_005


amounts = st.integers(10, 200).map(lambda n: n * TICK)
tables = st.lists(st.tuples(st.integers(1, 150), st.integers(1, 15)), max_size=4).map(
    lambda rows: (
        Step(0, 10),
        *(Step(f * TICK, s * TICK) for f, s in sorted(dict(rows).items())),
    )
)


@given(tables, st.lists(st.tuples(st.sampled_from("ABCD"), amounts), max_size=14))
def test_the_closed_form_agrees_with_a_ladder_climbed_tick_by_tick(steps, offers):
    state = sale(steps=steps)
    for bidder, amount in offers:
        before = state
        state, _, answer = apply(before, bid(bidder, amount), NOON)
        if isinstance(answer, Refused):
            assert state is before
            continue
        if before.leader is None:
            assert (state.leader, state.price_minor) == (bidder, 50)
        elif before.leader == bidder:
            assert (state.price_minor, state.leader_max_minor) == (before.price_minor, amount)
        else:
            assert before.price_minor is not None
            assert before.leader_max_minor is not None
            wins, price = duel(steps, TICK, before.price_minor, before.leader_max_minor, amount)
            assert (state.leader == bidder, state.price_minor) == (wins, price)


modes = st.sampled_from(["proxy", "proxy", "exact"])


@given(
    tables,
    st.none() | amounts.filter(lambda amount: amount >= 50),
    st.lists(st.tuples(st.sampled_from("ABCD"), amounts, modes), max_size=14),
)
def test_the_promises_about_price_and_leader_hold_for_any_history(steps, reserve, offers):
    state = sale(steps=steps, reserve_minor=reserve)
    standing: dict[str, int] = {}
    for bidder, amount, mode in offers:
        before, least = state, min_next(state)
        state, _, answer = apply(before, bid(bidder, amount, mode), NOON)
        if isinstance(answer, Refused):
            continue
        standing[bidder] = max(amount, standing.get(bidder, 0))
        assert amount >= least  # INV-3
        assert state.price_minor is not None
        assert state.price_minor >= (before.price_minor or 0)  # INV-2
        assert state.price_minor <= (state.leader_max_minor or 0)  # INV-5
        assert state.leader_max_minor == max(standing.values())
        assert standing[state.leader or ""] == max(standing.values())
        others = [amount for code, amount in standing.items() if code != state.leader]
        # A leader may have been his own runner-up once: then the price was made earlier and only stood still.
        bound = max([*others, state.second_max_minor or 0])
        jumped = mode == "exact" or state.price_minor in (reserve, before.price_minor)
        if others and not jumped:
            assert state.price_minor <= bound + increment(steps, bound)  # INV-6
        assert state.reserve_met == (reserve is None or state.price_minor >= reserve)
        if reserve is not None and (state.leader_max_minor or 0) >= reserve:
            assert state.price_minor >= reserve


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), amounts, st.integers(0, 4_000_000)), min_size=1, max_size=12),
    st.none() | st.integers(3_600_000, 4_000_000),
)
def test_the_end_never_comes_nearer_and_is_never_further_than_an_extension(offers, hard_ms):
    hard = None if hard_ms is None else NOON + timedelta(milliseconds=hard_ms)
    state = sale(hard_end_at=hard)
    for bidder, amount, at_ms in sorted(offers, key=lambda offer: offer[2]):
        arrived = NOON + timedelta(milliseconds=at_ms)
        before = state
        state, events, _ = apply(before, bid(bidder, amount, at=arrived), arrived)
        assert state.ends_at >= before.ends_at  # INV-13
        if state.ends_at > before.ends_at:
            assert [event.kind for event in events] == ["bid.accepted", "lot.extended"]
            assert state.ends_at - arrived <= timedelta(milliseconds=state.extension_ms)
            assert (state.price_minor, state.leader) != (before.price_minor, before.leader)
        assert hard is None or state.ends_at <= hard
