"""A protocol replays to its result, and nothing in it can be changed without being noticed."""

import json
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auction.protocol.replay import Problem
from auction.protocol.signing import canonical, key_id
from auction.protocol.verify import verify
from tests.auction.protocol.forging import (
    OTHER,
    PUBLIC,
    bid_places,
    changed,
    codes,
    leaves,
    other,
    rechained,
    resigned,
)


@pytest.mark.parametrize("view", ["public", "full"])
@pytest.mark.parametrize("lot", ["sold", "kept"])
def test_an_honest_protocol_verifies_and_says_the_result(protocols, lot, view):
    document = protocols[lot, view]
    verdict = verify(canonical(document), PUBLIC)
    assert verdict.problems == ()
    assert verdict.state == ("hammered" if lot == "sold" else "unsold")
    assert verdict.price_minor == document["result"]["price_minor"]
    assert verdict.bids == document["result"]["bid_count"] > 5
    assert (verdict.hidden_maxima > 0) == (view == "public")
    pretty = json.dumps(document, ensure_ascii=True, indent=2).encode()
    assert verify(pretty, PUBLIC).good, "how it is written down does not matter"


def test_the_public_view_keeps_what_the_buyer_would_have_paid_to_himself(protocols):
    public, full = protocols["sold", "public"], protocols["sold", "full"]
    price = public["result"]["price_minor"]
    secrets = {opening["max_minor"] for opening in full["openings"] if opening["max_minor"] > price}
    assert secrets
    text = canonical(public).decode()
    assert all(str(secret) not in text for secret in secrets)


def test_any_flipped_bit_anywhere_is_detected(protocols):
    content = canonical(protocols["sold", "public"])

    @settings(max_examples=250, deadline=None)
    @given(place=st.integers(0, len(content) - 1), bit=st.integers(0, 7))
    def flipped(place, bit):
        forged = bytearray(content)
        forged[place] ^= 1 << bit
        if bytes(forged).strip() != content:
            assert not verify(bytes(forged), PUBLIC).good

    flipped()


def test_every_single_field_is_under_the_signature(protocols):
    document = protocols["sold", "public"]
    for path, value in leaves(document):
        forged = changed(document, path, other(value))
        assert not verify(canonical(forged), PUBLIC).good, path


FREE = {"number", "case_id", "title", "attempt", "outage_grace_ms"}
"""Names of the sale that no rule depends on; the house's own signature is all that vouches for them."""


def test_the_house_itself_cannot_sign_another_result(protocols):
    """With the key in hand: every field that decides something is bound by chain, commitment or replay."""
    document = protocols["sold", "full"]
    for path, value in leaves(document):
        if path[0] in {"signature", "view"} or path[-1] in FREE:
            continue
        if path[0] == "openings" and path[-1] == "mode" and value == "proxy":
            continue  # a proxy whose maximum is the price says the same as an exact bid
        forged = changed(document, path, other(value))
        assert not verify(resigned(forged), PUBLIC).good, path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("lot", "tick_minor"), 0),
        (("lot", "window_ms"), 2**64),
        (("lot", "drain_ms"), -(10**30)),
        (("lot", "steps"), []),
        (("lot", "steps"), [[0, -1]]),
        (("lot", "starts_at"), "2026-01-01T00:00:00"),
        (("lot", "planned_end_at"), "9999-12-31T23:59:59Z"),
        (("lot", "planned_end_at"), "0001-01-01T00:00:00+14:00"),
        (("lot", "title"), "\ud800"),
        (("openings", 0, "max_minor"), 10**30),
        (("events", 0, "body"), "\udfff"),
        (("result", "hammered_at"), None),
        (("result", "hammered_at"), "2026-01-01T00:00:00Z"),
    ],
)
@pytest.mark.parametrize("signs", [True, False])
def test_what_no_sale_can_have_is_named_and_crashes_nothing(protocols, path, value, signs):
    forged = changed(protocols["sold", "full"], path, value)
    try:
        content = resigned(forged) if signs else json.dumps(forged).encode()
    except UnicodeEncodeError:
        content = json.dumps(forged).encode()
    assert not verify(content, PUBLIC).good


def test_a_dropped_a_swapped_and_a_cut_off_event_are_named_by_number(protocols):
    document = protocols["sold", "public"]
    events = document["events"]
    dropped = document | {"events": events[:4] + events[5:]}
    assert codes(canonical(dropped)) >= {"bad_signature", "seq_gap", "hash_broken"}
    assert {p.seq for p in verify(canonical(dropped), PUBLIC).problems if p.code == "hash_broken"} == {6}
    swapped = document | {"events": [*events[:3], events[4], events[3], *events[5:]]}
    assert {4, 5} <= {p.seq for p in verify(canonical(swapped), PUBLIC).problems if p.code == "seq_gap"}
    truncated = document | {"events": events[:-1]}
    assert codes(canonical(truncated)) >= {"head_differs", "replay_result"}


def test_a_bid_left_out_of_a_chain_written_anew_breaks_the_openings_or_the_replay(protocols):
    document = json.loads(canonical(protocols["sold", "full"]))
    del document["events"][bid_places(document)[3]]
    assert codes(resigned(rechained(document))) & {"openings_differ", "replay_value", "replay_refused"}


def test_a_price_changed_in_a_chain_written_anew_contradicts_the_replay(protocols):
    document = json.loads(canonical(protocols["sold", "full"]))
    place = bid_places(document)[5]
    body = json.loads(document["events"][place]["body"])
    body["payload"]["price_minor"] += 10_000
    document["events"][place]["body"] = json.dumps(body)
    verdict = verify(resigned(rechained(document)), PUBLIC)
    assert ("replay_value", place + 1) in {(problem.code, problem.seq) for problem in verdict.problems}


def test_a_maximum_other_than_the_committed_one_is_noticed(protocols):
    document = protocols["sold", "full"]
    opening = document["openings"][2]
    forged = changed(document, ("openings", 2, "max_minor"), opening["max_minor"] + 10_000)
    assert "commitment_broken" in codes(resigned(forged))


def test_only_the_buyers_own_maximum_may_stay_closed(protocols):
    document = protocols["sold", "public"]
    winner = document["result"]["winner_code"]
    codes_of = {
        json.loads(link["body"])["seq"]: json.loads(link["body"])["actor"] for link in document["events"]
    }
    place = next(n for n, one in enumerate(document["openings"]) if codes_of[one["seq"]] != winner)
    forged = changed(document, ("openings", place, "max_minor"), None)
    forged["openings"][place]["salt"] = None
    assert "not_opened" in codes(resigned(forged))
    assert "half_opened" in codes(resigned(changed(document, ("openings", place, "salt"), None)))


def test_another_key_is_refused_and_named(protocols):
    content = resigned(protocols["sold", "public"], OTHER)
    assert "bad_signature" in codes(content)
    document = json.loads(content)
    document["key_id"] = key_id(OTHER.public_key())
    assert codes(resigned(document, OTHER)) == {"other_key", "bad_signature"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1.5",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": "pledgewatch-lot-protocol/1"}',
    ],
)
def test_what_is_no_protocol_is_said_to_be_none(content):
    verdict = verify(content, PUBLIC)
    assert [problem.code for problem in verdict.problems] == ["protocol_malformed"]


def test_a_name_given_twice_is_refused_since_readers_would_differ(protocols):
    content = canonical(protocols["sold", "public"])
    doubled = content[:-1] + b',"view":"public"}'
    assert [problem.code for problem in verify(doubled, PUBLIC).problems] == ["protocol_malformed"]


def test_an_event_says_nothing_twice_and_nothing_unknown_even_when_the_house_signs_it(protocols):
    for more in (',"kind":"lot.opened"}', ',"note":1}'):
        forged = rechained(json.loads(canonical(protocols["sold", "full"])))
        link = forged["events"][1]
        link["body"] = link["body"][:-1] + more
        link["hash"] = sha256(bytes.fromhex(forged["events"][0]["hash"]) + link["body"].encode()).hexdigest()
        found = verify(resigned(forged), PUBLIC).problems
        assert found[0] == Problem(2, "protocol_malformed", found[0].message)
    odd = json.loads(canonical(protocols["sold", "full"]))
    for link in odd["events"]:
        body = json.loads(link["body"])
        body["payload"]["code"] = {"a": [1]}
        link["body"] = json.dumps(body)
    assert not verify(resigned(rechained(odd)), PUBLIC).good
