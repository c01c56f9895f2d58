import pytest

from collateral.plates import is_new_energy, parse_plate
from core.errors import Rejected


@pytest.mark.parametrize(
    ("written", "plate"),
    [
        ("沪A12345", "沪A12345"),
        ("沪a·1b345", "沪A1B345"),
        (" 粤 B-D12345 ", "粤BD12345"),
        ("京AF0236", "京AF0236"),
        ("苏E12345D", "苏E12345D"),
        ("粤Z1234港", "粤Z1234港"),
        ("京A1234警", "京A1234警"),
        ("沪Ａ１２３４５", "沪A12345"),
        ("使014578", "使014578"),
        ("AB-123-CD", "AB123CD"),
    ],
)
def test_plates_have_one_spelling(written, plate):
    assert parse_plate(written) == plate
    assert parse_plate(plate) == plate


@pytest.mark.parametrize(
    "text", ["", "沪A1234", "沪AI2345", "沪AO2345", "沪112345", "啊A12345", "沪A1234567", "沪AZ1234Z", "A"]
)
def test_what_no_office_would_issue_is_refused(text):
    with pytest.raises(Rejected) as refused:
        parse_plate(text)
    assert refused.value.code == "bad_plate"


def test_green_plates_have_one_character_more():
    assert is_new_energy("粤BD12345")
    assert not is_new_energy("沪A12345")
