"""The wire schema: each bad item is named, its neighbours live, nothing is guessed."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import topics, wire
from core.clock import from_ms
from core.errors import Rejected

GOOD = {
    "v": 1, "device_id": "868120303960871", "type": "position", "boot_id": 17, "seq": 90211,
    "fix_time": "2026-11-22T03:04:05.000Z", "fix_valid": True, "lat": 31.230416, "lon": 121.473701,
}  # fmt: skip


def encode(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def test_the_position_of_the_contract_is_read_as_written() -> None:
    message, ext = wire.decode(encode(speed_kmh=43.5, ignition=True))
    report = wire.to_report(message, received_ms=5, sha256=b"x", ext=ext)
    assert from_ms(report.t_ms).isoformat() == "2026-11-22T03:04:05+00:00"
    assert (report.lat, report.lon, report.speed_kmh, report.ignition) == (31.230416, 121.473701, 43.5, True)
    assert (report.has_position, ext) == (True, None)


def test_unknown_fields_are_kept_as_they_are() -> None:
    _, ext = wire.decode(encode(tyre_kpa=[220, 221], vendor={"x": 1}))
    assert ext is not None
    assert json.loads(ext) == {"tyre_kpa": [220, 221], "vendor": {"x": 1}}


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (b"\xff\xfe", "not_json"),
        (b"{", "not_json"),
        (b'"text"', "schema"),
        (b"[" * 100_000, "schema"),
        (b'{"deep": ' + b"[" * 100_000, "not_json"),
        (encode().replace(b"31.230416", b"NaN"), "not_json"),
        (encode(lat="31.2"), "schema"),
        (encode(lat=91), "schema"),
        (encode(seq=1.5), "schema"),
        (encode(seq=2**63), "schema"),
        (encode(device_id="../x"), "schema"),
        (encode(speed_kmh=301), "schema"),
        (encode(fix_valid=None), "schema"),
        (encode(fix_time=None), "schema"),
        (encode(v=2), "unknown_version"),
        (encode(ext_blob="x" * 3000), "ext_too_large"),
        (encode(note="a\0b"), "schema"),
        (encode(**{"no\0te": 1}), "schema"),
        (encode(note="\\\0"), "schema"),
        (encode(note="Q").replace(b"Q", b"\xc3("), "not_json"),
    ],
)
def test_an_item_that_cannot_be_used_is_refused_with_a_named_reason(item: bytes, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        wire.decode(item)
    assert refused.value.code == code


def test_a_backslash_before_the_letters_of_an_escape_is_ordinary_text() -> None:
    _, ext = wire.decode(encode(note="C:\\u0000"))
    assert ext is not None
    assert json.loads(ext) == {"note": "C:\\u0000"}


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "payload_empty"),
        (b"  ", "payload_empty"),
        (b"[]", "payload_empty"),
        (b"[1, 2", "not_json"),
        (b"[" + b",".join([b"1"] * 201) + b"]", "too_many_reports"),
        (b" " * (topics.MAX_PAYLOAD_BYTES + 1), "payload_too_large"),
    ],
)
def test_a_payload_that_cannot_be_split_is_refused_with_a_named_reason(payload: bytes, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        wire.split_payload(payload)
    assert refused.value.code == code


def test_an_array_gives_back_the_bytes_of_each_item_so_that_digests_match() -> None:
    items = [encode(seq=1), b'{"broken": }'.replace(b"}", b"1}"), encode(seq=2)]
    assert wire.split_payload(b"[ " + b" ,\n".join(items) + b" ]") == items


@given(st.binary(max_size=300))
def test_no_bytes_make_the_decoder_fail_in_another_way(payload: bytes) -> None:
    with contextlib.suppress(Rejected):
        for item in wire.split_payload(payload):
            wire.decode(item)


@given(st.integers(0, 63), st.from_regex(topics.DEVICE_ID, fullmatch=True), st.sampled_from(topics.KINDS))
def test_a_topic_survives_being_built_and_parsed(shard: int, device_id: str, kind: str) -> None:
    assert topics.parse(topics.build(shard, device_id, kind)) == (shard, device_id, kind)


@pytest.mark.parametrize(
    "topic", ["pw/v1/40/d/telemetry", "pw/v1/00/d/other", "pw/v2/00/d/telemetry", "pw/v1/00/a/b/telemetry"]
)
def test_a_topic_out_of_grammar_is_refused(topic: str) -> None:
    with pytest.raises(Rejected, match="Expected pw/v1"):
        topics.parse(topic)
