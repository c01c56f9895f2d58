"""A protocol replays to its result, and nothing in it can be changed without being noticed."""

import json
import os
import random
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from auction.bids.place import place_bid
from auction.domain import BidAccepted
from auction.lots.store import get_lot
from auction.protocol.export import export
from auction.protocol.replay import Problem
from auction.protocol.signing import canonical, key_id, protocol_key, public_pem, read_public, sign
from auction.protocol.verify import verify
from auction.timers import store as timers
from collateral.domain import Vehicle
from collateral.vehicles.store import upsert_vehicles
from core.db.migrate import migrate
from core.db.pool import connect
from core.domain.money import Money
from core.errors import Conflict, Misconfigured, NotFound, Rejected
from core.policy.pack import load_pack
from core.settings import Settings
from pledgewatch import staging
from tests.fix_stack import created_database, in_database

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
PACK = replace(load_pack("demo"), min_duration=timedelta(seconds=1))
"""The demonstration's law, with lots that a test can wait for."""


def staged_lot(
    conn, vehicle_id, *, bidders=4, lasts=timedelta(seconds=3), reserve_minor=None, window_ms=None
):
    upsert_vehicles(conn, [Vehicle(vehicle_id=vehicle_id)])
    case = staging.stage_case(conn, vehicle_id, 10_000_000, PACK)
    lot = staging.draft_lot(conn, case.case_id, PACK, title="变卖车辆", start_minor=7_000_000, lasts=lasts)
    if reserve_minor is not None or window_ms is not None:
        conn.execute(
            "UPDATE lot SET reserve_minor = %s, window_ms = coalesce(%s, window_ms) WHERE lot_id = %s",
            (reserve_minor, window_ms, lot.lot_id),
        )
    lot = staging.publish_lot(conn, lot.lot_id)
    guests = [
        staging.invite(conn, f"guest-{n}", deposit=Money(lot.deposit_minor, "CNY")) for n in range(bidders)
    ]
    for guest in guests:
        staging.admit(conn, lot, guest, PACK)
    return lot, guests


def open_lot(conn, lot_id):
    from auction.lots.actions import open_on_time

    return open_on_time(conn, lot_id)


def fell(conn, lot):
    """Let the end pass (database time cannot be bent: the lot is moved) and decide."""
    conn.execute(
        "SELECT pg_sleep(greatest(0, extract(epoch FROM ends_at - clock_timestamp()) + drain_ms / 1000.0 + 0.02))"
        " FROM lot WHERE lot_id = %s",
        (lot.lot_id,),
    )
    timers.take_close_fence(conn, lot.lot_id)
    return timers.call_decide(conn, lot.lot_id, get_lot(conn, lot.lot_id).epoch)


def random_bids(conn, lot, guests, count, seed):
    rng = random.Random(seed)
    taken = 0
    for _ in range(count):
        now = get_lot(conn, lot.lot_id)
        amount = now.min_next_minor + rng.randint(0, 12) * lot.tick_minor
        answer = place_bid(
            conn,
            lot_id=lot.lot_id,
            bidder_id=rng.choice(guests).bidder.bidder_id,
            max_minor=amount,
            mode=rng.choice(["exact", "proxy"]),
            confirm_high=True,
        )
        taken += isinstance(answer, BidAccepted)
    return taken


def decided(conn, vehicle_id, *, seed=1, count=40, **options):
    lot, guests = staged_lot(conn, vehicle_id, **options)
    open_lot(conn, lot.lot_id)
    taken = random_bids(conn, lot, guests, count, seed)
    # The last word: a maximum far above what anybody has to pay.
    last = get_lot(conn, lot.lot_id)
    place_bid(
        conn, lot_id=lot.lot_id, bidder_id=guests[0].bidder.bidder_id,
        max_minor=last.min_next_minor + 900 * lot.tick_minor, mode="proxy", confirm_high=True,
    )  # fmt: skip
    return lot, taken


@pytest.fixture(scope="module")
def protocols(postgres_server, template_db):
    """A sold lot and an unsold one with a reserve out of reach, as public and full protocols."""
    template = template_db.name if template_db.copyable else None
    with created_database(postgres_server, "protocol", template) as name:
        if not template_db.copyable:
            migrate(in_database(postgres_server, name))
        with (
            connect(in_database(postgres_server, name), name="test") as conn,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr("auction.lots.actions.load_pack", lambda *_: PACK)
            sold, _ = decided(conn, "V-SOLD", window_ms=0)
            kept, _ = decided(conn, "V-KEPT", count=10, reserve_minor=90_000_000, window_ms=0)
            with pytest.raises(Conflict, match="Expected a lot that is decided"):
                export(conn, sold.lot_id, key=KEY)
            conn.commit()
            assert fell(conn, sold) == "hammered"
            assert fell(conn, kept) == "unsold"
            conn.commit()
            yield {
                (lot_name, view): export(conn, lot.lot_id, key=KEY, full=view == "full")
                for lot_name, lot in (("sold", sold), ("kept", kept))
                for view in ("public", "full")
            }


def codes(content):
    return {problem.code for problem in verify(content, PUBLIC).problems}


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


def leaves(value, path=()):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, place))
    else:
        yield path, value


def changed(document, path, value):
    copy = json.loads(canonical(document))
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return copy


def resigned(document, key=KEY):
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    return canonical(unsigned | {"signature": sign(key, unsigned)})


def other(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 10_000
    if value is None:
        return "x"
    return value[:-1] + ("0" if value[-1:] != "0" else "1")


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


def rechained(document):
    """Write every hash anew, as somebody who owns the database could."""
    import hashlib

    before = b""
    for number, link in enumerate(document["events"], start=1):
        body = json.loads(link["body"])
        body["seq"] = number
        link["seq"] = number
        link["body"] = json.dumps(body, ensure_ascii=False)
        before = hashlib.sha256(before + link["body"].encode()).digest()
        link["hash"] = before.hex()
    document["head"] = {"seq": len(document["events"]), "hash": before.hex()}
    return document


def bid_places(document):
    return [
        place for place, link in enumerate(document["events"])
        if json.loads(link["body"])["kind"] == "bid.accepted"
    ]  # fmt: skip


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


def test_an_unknown_lot_has_no_protocol(db):
    with pytest.raises(NotFound):
        export(db, UUID(int=0), key=KEY)


# ------------------------------------------------------------------------------------ the key


def deployment(tmp_path, **options):
    return Settings(data_dir=tmp_path, _env_file=None, **options)


def test_a_hundred_that_ask_at_once_get_the_same_key_and_nobody_else_may_read_it(tmp_path):
    found = []
    asking = [
        threading.Thread(target=lambda: found.append(public_pem(protocol_key(deployment(tmp_path)))))
        for _ in range(20)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(found) == 20
    assert len(set(found)) == 1
    path = tmp_path / "keys" / "protocol.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["protocol.pem"]
    assert key_id(read_public(found[0].encode())) == key_id(protocol_key(deployment(tmp_path)).public_key())


def test_a_key_file_of_the_operator_is_used_or_refused_but_never_replaced(tmp_path):
    given_file = tmp_path / "ours.pem"
    with pytest.raises(Misconfigured, match="PROTOCOL_KEY_FILE"):
        protocol_key(deployment(tmp_path, protocol_key_file=given_file))
    given_file.write_text("not a key")
    with pytest.raises(Misconfigured, match="PROTOCOL_KEY_FILE"):
        protocol_key(deployment(tmp_path, protocol_key_file=given_file))
    assert given_file.read_text() == "not a key"


def test_a_number_that_is_not_whole_cannot_be_signed():
    with pytest.raises(Rejected, match="whole numbers"):
        canonical({"price": 1.5})


def test_what_is_no_public_key_is_refused():
    with pytest.raises(Rejected, match="Ed25519"):
        read_public(b"-----BEGIN PUBLIC KEY-----")


# ------------------------------------------------------------------------- the command line


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pledgewatch", "auction", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60,
        env={k: v for k, v in os.environ.items() if not k.startswith("PLEDGEWATCH_")} | environment,
    )  # fmt: skip


def test_the_command_line_says_what_is_wrong_and_by_its_exit_code_that_it_is(protocols, tmp_path):
    public, good, bad = tmp_path / "public.pem", tmp_path / "good.json", tmp_path / "bad.json"
    public.write_text(public_pem(KEY))
    good.write_bytes(canonical(protocols["sold", "public"]))
    bad.write_bytes(good.read_bytes().replace(b'"view":"public"', b'"view":"full"'))
    held = command("verify", good, "--key", public, "--json")
    assert held.returncode == 0, held.stderr
    assert json.loads(held.stdout.splitlines()[-1])["ok"] is True
    broken = command("verify", bad, "--key", public, "--json")
    assert broken.returncode == 1
    assert "bad_signature" in broken.stderr
    assert json.loads(broken.stdout.splitlines()[-1])["problems"][0]["code"] == "bad_signature"
    assert command("verify", good, "--key", good).returncode == 2
    assert command("verify", tmp_path / "none.json", "--key", public).returncode == 2


def test_the_public_key_of_a_deployment_is_printed_and_stays_the_same(tmp_path):
    first = command("key", PLEDGEWATCH_DATA_DIR=str(tmp_path))
    again = command("key", PLEDGEWATCH_DATA_DIR=str(tmp_path))
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout == public_pem(protocol_key(deployment(tmp_path)))
