import pytest
from hypothesis import given
from hypothesis import strategies as st

from collateral.vin import LENGTH, check_digit, looks_like_vin, parse_vin, with_check_digit
from core.errors import Rejected

LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
vins = st.text(LETTERS, min_size=LENGTH, max_size=LENGTH)


def test_vins_published_as_examples_pass():
    # 49 CFR 565's own arithmetic: seventeen ones are valid, and so are these two in the literature.
    for vin in ("1" * 17, "1M8GDM9AXKP042788", "5GZCZ43D13S812715"):
        assert parse_vin(vin) == vin


@given(vins)
def test_a_repaired_check_digit_is_accepted_everywhere(vin):
    assert parse_vin(with_check_digit(vin)) == with_check_digit(vin)


@given(vins.map(lambda vin: "L" + vin[1:]), st.integers(0, 16), st.sampled_from(LETTERS))
def test_one_wrong_character_of_another_value_is_noticed_in_china(vin, place, letter):
    right = with_check_digit(vin)
    wrong = right[:place] + letter + right[place + 1 :]
    if place != 8 and check_digit(wrong) != wrong[8] and wrong[0] == "L":
        with pytest.raises(Rejected) as refused:
            parse_vin(wrong)
        assert refused.value.code == "bad_vin_check_digit"


@given(vins.map(lambda vin: "L" + vin[1:]), st.sampled_from("0123456789X"))
def test_of_the_eleven_check_digits_one_is_right(vin, digit):
    candidate = vin[:8] + digit + vin[9:]
    right = digit == check_digit(vin)
    if right:
        assert parse_vin(candidate) == candidate
    else:
        with pytest.raises(Rejected):
            parse_vin(candidate)


def test_a_european_vin_needs_no_check_digit():
    assert parse_vin("WVWZZZ1JZ3W386752") == "WVWZZZ1JZ3W386752"


def test_spaces_dashes_and_small_letters_are_forgiven():
    assert parse_vin(" 1m8gdm9a-xkp042788 ") == "1M8GDM9AXKP042788"


@pytest.mark.parametrize(
    "text", ["", "1M8GDM9AXKP04278", "1M8GDM9AXKP0427888", "IM8GDM9AXKP042788", "车架号车架号车架号车架号车"]
)
def test_other_forms_are_not_vins(text):
    with pytest.raises(Rejected) as refused:
        parse_vin(text)
    assert refused.value.code == "bad_vin"
    assert not looks_like_vin(text)
