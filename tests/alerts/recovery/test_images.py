"""What is kept of an uploaded photo: the picture; and what is refused, with which words."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.recovery.images.clean import MOST_BYTES, clean_picture
from alerts.recovery.images.exif import read_exif
from alerts.recovery.photos import taken_at
from core.errors import Rejected
from tests.alerts.recovery.pictures import (
    JPEG,
    PLACE,
    PNG,
    WEBP,
    chunk,
    phone_jpeg,
    phone_png,
    phone_webp,
    riff,
    segment,
    tiff,
)

KINDS = [("image/jpeg", JPEG, phone_jpeg), ("image/png", PNG, phone_png), ("image/webp", WEBP, phone_webp)]


@pytest.mark.parametrize(("kind", "plain", "dressed"), KINDS)
def test_the_place_and_whatever_else_a_phone_adds_is_left_out(
    kind: str, plain: bytes, dressed: Callable[[], bytes]
):
    assert PLACE in dressed()
    for data in (plain, dressed()):
        picture = clean_picture(data)
        assert (picture.content_type, picture.width, picture.height) == (kind, 24, 16)
        assert PLACE not in picture.content
        assert b"<script>" not in picture.content
        assert clean_picture(picture.content).content == picture.content, "cleaning twice changes nothing"


def test_a_plain_jpeg_stays_byte_for_byte_what_it_was():
    assert clean_picture(JPEG).content == JPEG
    assert clean_picture(PNG).content == PNG


def test_of_exif_the_orientation_stays_and_the_time_is_told():
    picture = clean_picture(phone_jpeg())
    assert picture.content[2:4] == b"\xff\xe1"
    assert read_exif(picture.content[12:]).orientation == 6
    assert taken_at(picture, "UTC") == datetime(2026, 11, 20, 2, 31, 5, tzinfo=UTC)
    upright = clean_picture(phone_jpeg(orientation=1))
    assert b"Exif" not in upright.content
    zoneless = clean_picture(phone_jpeg(offset=b"\0" * 7))
    assert taken_at(zoneless, "Asia/Shanghai") == datetime(2026, 11, 20, 2, 31, 5, tzinfo=UTC)
    for odd in (b"2096:11:20 10:31:05\0", b"yesterday\0", b"\xff\xfe\xfd\xfc\xfb\0"):
        assert taken_at(clean_picture(phone_jpeg(taken=odd)), "UTC") is None


@pytest.mark.parametrize(("kind", "plain", "dressed"), KINDS)
def test_a_picture_cut_anywhere_is_refused(kind: str, plain: bytes, dressed: Callable[[], bytes]):
    data = plain
    for end in range(len(data)):
        with pytest.raises(Rejected) as refusal:
            clean_picture(data[:end])
        assert refusal.value.code in {"photo_truncated", "photo_not_an_image"}, end
    with pytest.raises(Rejected) as refusal:
        clean_picture(data[: len(data) - 3])
    assert refusal.value.code == "photo_truncated"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<html><script>alert(1)</script></html>", b"%PDF-1.7", b"GIF89a" + b"\0" * 40, b"MZ" + b"\0" * 99,
        b"\xff\xd8\xff<html><script>alert(1)</script></html>",
        b"\xff\xd8" + segment(0xFE, b"<script>alert(1)</script>") + b"\xff\xd9",
        b"\xff\xd8" + segment(0xE0, b"JFIF\0" + b"\0" * 9) + b"<svg onload=alert(1)>",
        b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"a\0<script>") + chunk(b"IEND", b""),
        PNG[:8] + PNG[8:33] + chunk(b"IEND", b""),
        PNG[:40] + b"\xff" + PNG[41:],
        b"RIFF" + struct.pack("<I", 4) + b"WEBP",
        b"RIFF" + struct.pack("<I", 16) + b"WEBP" + riff(b"ANIM", b"\0" * 4),
        b"RIFF" + struct.pack("<I", 22) + b"WEBP" + riff(b"VP8 ", b"\0" * 10),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_whatever_it_calls_itself(data: bytes):
    with pytest.raises(Rejected) as refusal:
        clean_picture(data)
    assert refusal.value.code in {"photo_not_an_image", "photo_truncated"}


def test_a_picture_too_large_to_keep_or_to_draw_is_refused():
    padded = JPEG[:2] + segment(0xFE, b"x" * 60_000) * 140 + JPEG[2:]
    assert len(padded) > MOST_BYTES
    with pytest.raises(Rejected) as refusal:
        clean_picture(padded)
    assert refusal.value.code == "photo_too_large"
    bomb = bytearray(PNG)
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    bomb[29:33] = chunk(b"IHDR", bytes(bomb[16:29]))[-4:]
    with pytest.raises(Rejected) as refusal:
        clean_picture(bytes(bomb))
    assert refusal.value.code == "photo_too_large"
    nothing = bytearray(PNG)
    nothing[16:24] = struct.pack(">II", 0, 16)
    nothing[29:33] = chunk(b"IHDR", bytes(nothing[16:29]))[-4:]
    with pytest.raises(Rejected, match="area"):
        clean_picture(bytes(nothing))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([phone_jpeg(), phone_png(), phone_webp()]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=12),
)
def test_a_damaged_picture_is_refused_or_clean_but_never_a_crash(data: bytes, damage: list[tuple[int, int]]):
    damaged = bytearray(data)
    for at, value in damage:
        damaged[at % len(damaged)] = value
    try:
        picture = clean_picture(bytes(damaged))
    except Rejected:
        return
    assert len(picture.content) <= len(damaged) + 64


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_exif_at_all_is_read_without_a_crash(noise: bytes):
    assert 0 <= read_exif(b"II*\0" + noise).orientation <= 8
    broken = bytearray(tiff())
    broken[4 : 4 + len(noise)] = noise
    assert 0 <= read_exif(bytes(broken)).orientation <= 8
