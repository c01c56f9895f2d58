"""Arrays packed by hand: PostgreSQL reads what was put in."""

from __future__ import annotations

from core.clock import from_ms
from core.db.arrays import bigint_array, bytea_array, moment_array, text_array


def test_arrays_packed_by_hand_are_read_as_they_were_meant(db):
    moments_ms = [-62_135_596_800_000, 0, 1_795_000_000_123]
    texts, numbers, pieces = ["", "苏A", 'a,"b{}'], [-(2**63), 0, 2**63 - 1], [b"", b"\x00\xff", b"abc"]
    rows = db.execute(
        "SELECT * FROM unnest(%b::text[], %b::bytea[], %b::bigint[], %b::timestamptz[])",
        (text_array(texts), bytea_array(pieces), bigint_array(numbers), moment_array(moments_ms)),
    ).fetchall()
    assert [(text, bytes(piece), number, moment) for text, piece, number, moment in rows] == list(
        zip(texts, pieces, numbers, map(from_ms, moments_ms), strict=True)
    )


def test_an_array_of_nothing_is_an_empty_array(db):
    row = db.execute(
        "SELECT cardinality(%b::text[]), cardinality(%b::bigint[])", (text_array([]), bigint_array([]))
    ).fetchone()
    assert row == (0, 0)
