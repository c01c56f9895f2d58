"""Who gets how much: whatever is claimed, the legs add up to the proceeds and nobody gets too much."""

from hypothesis import given
from hypothesis import strategies as st

from auction.settlement.closing import as_json, from_json
from auction.settlement.waterfall import Cap, Claim, divide

AMOUNT = st.integers(0, 10**11)
RANK = ["cost", "interest", "principal", "junior", "surplus"]


@given(
    proceeds=st.integers(1, 10**11),
    forfeited=st.integers(0, 10**9),
    costs=st.lists(st.tuples(st.text(max_size=5), st.integers(1, 10**9)), max_size=6),
    claim=st.builds(Claim, AMOUNT, AMOUNT, AMOUNT),
    cap=st.builds(Cap, st.integers(0, 36), st.just(365), st.integers(-30, 4_000)),
    juniors=st.lists(st.tuples(st.text(max_size=5), st.integers(1, 10**9)), max_size=3),
)
def test_every_fen_of_the_proceeds_goes_to_somebody_in_order(proceeds, forfeited, costs, claim, cap, juniors):
    done = divide(proceeds, forfeited, costs, claim, cap, juniors)
    assert sum(leg.gets_minor for leg in done.legs) == proceeds + forfeited
    assert all(0 <= leg.gets_minor <= leg.due_minor for leg in done.legs)
    assert [RANK.index(leg.kind) for leg in done.legs] == sorted(RANK.index(leg.kind) for leg in done.legs)
    # Nobody gets anything while somebody before them is short.
    short = [n for n, leg in enumerate(done.legs) if leg.gets_minor < leg.due_minor]
    if short:
        assert all(leg.gets_minor == 0 for leg in done.legs[short[0] + 1 :])
    # The lender never gets more principal than was paid out, nor interest beyond the cap on it.
    principal = next(leg for leg in done.legs if leg.kind == "principal")
    interest = next(leg for leg in done.legs if leg.kind == "interest")
    assert principal.due_minor <= claim.received_minor
    assert interest.due_minor * 100 * 365 <= principal.due_minor * cap.yearly_pct * max(0, cap.days)
    # What was claimed is collected, owed by the debtor, or shown as excess; never lost, never twice.
    assert interest.due_minor + done.excess_interest_minor == claim.interest_minor
    assert principal.due_minor + done.excess_principal_minor == claim.principal_minor
    dues = sum(amount for _, amount in costs) + interest.due_minor + principal.due_minor
    assert done.shortfall_minor == dues - done.gets_minor("cost", "interest", "principal")
    assert done.shortfall_minor == 0 or done.surplus_minor == 0
    assert from_json(as_json(done)) == done


def test_interest_is_capped_on_the_principal_really_received():
    # Said to be 100,000; 10,000 were kept back as a fee; a year at 24 % on 90,000 is the most.
    done = divide(
        20_000_000,
        0,
        [("towing:1", 80_000)],
        Claim(received_minor=9_000_000, principal_minor=10_000_000, interest_minor=3_600_000),
        Cap(24, 365, 365),
        [("second bank", 1_000_000)],
    )
    assert [(leg.kind, leg.gets_minor) for leg in done.legs] == [
        ("cost", 80_000), ("interest", 2_160_000), ("principal", 9_000_000), ("junior", 1_000_000),
        ("surplus", 7_760_000),
    ]  # fmt: skip
    assert (done.excess_interest_minor, done.excess_principal_minor) == (1_440_000, 1_000_000)
    assert done.shortfall_minor == 0


def test_a_junior_claim_that_stays_open_is_not_the_lenders_shortfall():
    done = divide(1_000, 0, [], Claim(600, 600, 0), Cap(24, 365, 0), [("second", 900)])
    assert [leg.gets_minor for leg in done.legs] == [0, 600, 400, 0]
    assert (done.shortfall_minor, done.surplus_minor) == (0, 0)
