"""Bytes to frames and back: escapes, checksum, headers of both versions, packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Rejected
from ingest.gateways.jt808.framing import LONGEST_ESCAPED, Framer, enclose, unescape
from ingest.gateways.jt808.header import Header, build_header, parse_header
from ingest.gateways.jt808.messages import encode_resend
from ingest.gateways.jt808.packets import (
    ASK_AFTER_S,
    FORGET_AFTER_S,
    MOST_BYTES,
    MOST_MESSAGES,
    MOST_PACKETS,
    Reassembly,
)
from simulator.terminals import jt808 as terminal

# From the README of SmallChi/JT808 (MIT licence), quoted in many descriptions of the protocol: a location
# report of terminal 123456789012 with escapes in header and body.
PUBLIC_0200 = bytes.fromhex(
    "7E02000026123456789012007D02000000010000000200BA7F0E07E4F11C0028003C00001810151010100104"
    "000000640202007D01137E"
)
# From the debug page of makeclan/xtream-codec (Apache licence): a bulk upload of a 2019 terminal.
PUBLIC_0704 = bytes.fromhex(
    "7e0704403f01000000000139123443290000000200001c000000010000000101d907f2073d336c029a0021005924"
    "1029213903001c000000010000000101d907f3073d336d03090043005a241029213903f87e"
)

bodies = st.binary(max_size=1023)
serials = st.integers(0, 0xFFFF)
numbers = st.from_regex(r"[1-9][0-9]{0,11}", fullmatch=True)


def test_public_example_of_a_2013_location_report_is_read_byte_for_byte():
    [content] = Framer().feed(PUBLIC_0200)
    header, body = parse_header(content)
    assert (header.msg_id, header.number, header.serial, header.version) == (
        0x0200,
        "123456789012",
        126,
        None,
    )
    assert len(body) == 38
    assert enclose(content) == PUBLIC_0200


def test_public_example_of_a_2019_bulk_upload_is_read_byte_for_byte():
    [content] = Framer().feed(PUBLIC_0704)
    header, body = parse_header(content)
    assert (header.msg_id, header.number, header.serial, header.version) == (0x0704, "13912344329", 0, 1)
    assert len(body) == 63
    assert enclose(content) == PUBLIC_0704


@given(msg_id=serials, number=numbers, serial=serials, body=bodies, version=st.none() | st.integers(0, 255))
def test_what_another_encoder_writes_is_read_back_whole(msg_id, number, serial, body, version):
    [content] = Framer().feed(terminal.frame(msg_id, number, serial, body, version=version))
    header, read = parse_header(content)
    assert (header.msg_id, header.number, header.serial, header.version) == (msg_id, number, serial, version)
    assert (read, header.is_packet, header.encrypted) == (body, False, False)


@given(
    frames=st.lists(st.tuples(serials, bodies), min_size=1, max_size=5),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20),
    shared=st.booleans(),
)
def test_a_stream_cut_anywhere_yields_the_same_frames(frames, cuts, shared):
    whole = b"".join(terminal.frame(msg_id, "139", 1, body) for msg_id, body in frames)
    if shared:  # some terminals write one flag between two frames
        whole = whole.replace(b"\x7e\x7e", b"\x7e")
    framer, found, at, turn = Framer(), [], 0, 0
    while at < len(whole):
        size = cuts[turn % len(cuts)]
        found += framer.feed(whole[at : at + size])
        at, turn = at + size, turn + 1
    assert [parse_header(content)[0].msg_id for content in found] == [msg_id for msg_id, _ in frames]
    assert [parse_header(content)[1] for content in found] == [body for _, body in frames]
    assert (framer.bad, framer.noise) == (0, 0)


@given(st.lists(st.binary(max_size=3000), max_size=12))
def test_no_bytes_whatever_break_the_framer_or_make_it_hold_more_than_a_frame(chunks):
    framer = Framer()
    for chunk in chunks:
        for content in framer.feed(chunk):
            assert unescape(content) is not None or content
        assert framer.held <= LONGEST_ESCAPED


def test_a_frame_without_an_end_costs_a_frame_and_the_next_one_is_read():
    framer = Framer()
    assert framer.feed(b"\x7e" + b"\x01" * 10_000) == []
    assert framer.held == 0
    good = terminal.frame(0x0002, "139", 5)
    assert len(framer.feed(good)) == 1
    assert framer.bad == 1


@pytest.mark.parametrize("content", [b"\x01\x7d", b"\x7d\x03", b"\x7d\x7d\x01"])
def test_an_escape_of_nothing_is_refused(content):
    assert unescape(content) is None


def test_one_flipped_bit_anywhere_is_noticed():
    good = terminal.frame(0x0200, "13912345678", 9, bytes(range(0x20, 0x60)))
    for place in range(1, len(good) - 1):
        flipped = bytes([*good[:place], good[place] ^ 0x80, *good[place + 1 :]])
        framer = Framer()
        assert framer.feed(flipped) == []
        assert framer.bad == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(11),
        bytes.fromhex("0200 0001 139000000001 0001"),  # says one byte of body, has none
        bytes.fromhex("0200 0000 13900000000a 0001"),  # a number that is not decimal
        bytes.fromhex("0200 0000 000000000000 0001"),  # no number
        bytes.fromhex("0200 2000 139000000001 0001 0002 0003"),  # packet 3 of 2
        bytes.fromhex("0200 2000 139000000001 0001 0002 0000"),  # packet 0
        bytes.fromhex("0200 2000 139000000001 0001 00"),  # no room for the packet item
    ],
)
def test_headers_that_contradict_themselves_are_refused(content):
    with pytest.raises(Rejected, match="Expected"):
        parse_header(content)


@given(st.binary(max_size=60))
def test_any_content_is_a_header_or_a_refusal(content):
    try:
        header, body = parse_header(content)
    except Rejected:
        return
    assert 1 <= header.index <= header.total
    assert len(body) <= 1023


@pytest.mark.parametrize("version", [None, 1])
def test_an_answer_goes_back_in_the_form_the_terminal_speaks(version):
    [content] = Framer().feed(terminal.frame(0x0002, "13912345678", 1, version=version))
    header, _ = parse_header(content)
    [answer] = Framer().feed(enclose(build_header(header, 0x8001, 70_000, 3) + b"abc"))
    assert terminal.unwrap(answer + b"?", version) == (0x8001, 70_000 & 0xFFFF, b"abc")
    back, _ = parse_header(answer)
    assert (back.number, back.version) == ("13912345678", version)


def packet(index, total=3, serial=100, msg_id=0x0704):
    return Header(msg_id, bytes(6), "139", (serial + index - 1) & 0xFFFF, None, False, total, index)


@given(order=st.permutations(range(1, 6)), serial=serials, repeats=st.lists(st.integers(1, 5), max_size=4))
def test_packets_in_any_order_with_repeats_make_the_same_message(order, serial, repeats):
    parts, whole = Reassembly(), None
    for index in [*order[:-1], *(one for one in repeats if one != order[-1]), order[-1]]:
        whole = parts.add(packet(index, 5, serial), bytes([index]) * index, 0.0)
    assert whole is not None
    assert whole.body == b"".join(bytes([index]) * index for index in range(1, 6))
    assert whole.serials == tuple((serial + number) & 0xFFFF for number in range(5))
    assert parts.held == 0


def test_missing_packets_are_asked_for_a_few_times_and_then_the_message_is_forgotten():
    parts = Reassembly()
    parts.add(packet(1), b"a", 0.0)
    parts.add(packet(3), b"c", 0.0)
    assert parts.tend(ASK_AFTER_S) == []
    asked, now_s = 0, 0.0
    while now_s < FORGET_AFTER_S:
        now_s += ASK_AFTER_S + 0.1
        for missing in parts.tend(now_s):
            asked += 1
            assert (missing.first_serial, missing.indices) == (100, (2,))
    assert asked == 3
    assert parts.held == 0
    assert parts.add(packet(2), b"b", now_s) is None  # a new message, of which two packets are missing


def test_unfinished_messages_are_limited_in_number_packets_and_bytes():
    parts = Reassembly()
    with pytest.raises(Rejected, match=str(MOST_PACKETS)):
        parts.add(packet(1, MOST_PACKETS + 1), b"", 0.0)
    for number in range(MOST_MESSAGES):
        parts.add(packet(1, serial=1000 * number), b"a", 0.0)
    with pytest.raises(Rejected, match="unfinished"):
        parts.add(packet(1, serial=9000), b"a", 0.0)
    full = Reassembly()
    fitting = MOST_BYTES // 1023
    for index in range(1, fitting + 1):
        full.add(packet(index, MOST_PACKETS), bytes(1023), 0.0)
    with pytest.raises(Rejected, match=str(MOST_BYTES)):
        full.add(packet(fitting + 1, MOST_PACKETS), bytes(1023), 0.0)
    assert full.held == fitting * 1023


@pytest.mark.parametrize(("is_2019", "count"), [(False, "02"), (True, "0002")])
def test_the_count_of_packets_asked_for_again_is_wider_in_2019(is_2019, count):
    assert encode_resend(0x0102, (2, 3), is_2019=is_2019).hex() == "0102" + count + "00020003"
    assert len(encode_resend(1, range(1, 1000), is_2019=is_2019)) <= 4 + 2 * 125


@pytest.mark.parametrize("version", [None, 1])
def test_an_encrypted_body_is_known_by_its_header(version):
    [content] = Framer().feed(
        terminal.frame(0x0200, "139", 1, b"secret", version=version, attributes=1 << 10)
    )
    assert parse_header(content)[0].encrypted
