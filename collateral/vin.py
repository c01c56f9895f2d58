"""Vehicle identification numbers: ISO 3779 form, and the check digit where it is law.

China (GB 16735) and North America (49 CFR 565) require the check digit in position 9; elsewhere the
position is the maker's, so a European import without one is not a mistake.
"""

from __future__ import annotations

import re

from core.errors import Rejected

LENGTH = 17
CHECK_POSITION = 8
_FORM = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VALUES = {
    **{digit: int(digit) for digit in "0123456789"},
    **dict(zip("ABCDEFGH", range(1, 9), strict=True)),
    **dict(zip("JKLMN", range(1, 6), strict=True)),
    "P": 7,
    "R": 9,
    **dict(zip("STUVWXYZ", range(2, 10), strict=True)),
}
_CHECKED_FIRST_LETTERS = frozenset("L12345")
"""World manufacturer identifiers: L is China, 1-5 North America."""


def check_digit(vin: str) -> str:
    """Return what position 9 of a 17-character VIN must be: a digit or X (weighted sum mod 11)."""
    remainder = sum(_VALUES[letter] * weight for letter, weight in zip(vin, _WEIGHTS, strict=True)) % 11
    return "X" if remainder == 10 else str(remainder)


def with_check_digit(vin: str) -> str:
    """Return a VIN with position 9 made right; for generated fleets."""
    return vin[:CHECK_POSITION] + check_digit(vin) + vin[CHECK_POSITION + 1 :]


def looks_like_vin(text: str) -> bool:
    """Tell whether a text is meant as a VIN, right or wrong."""
    return bool(_FORM.fullmatch(text.strip().upper()))


def parse_vin(text: str) -> str:
    """Return the normalised VIN.

    Raises:
        Rejected: not 17 letters and digits without I, O, Q (``bad_vin``), or a wrong check digit
            (``bad_vin_check_digit``).
    """
    vin = re.sub(r"[\s-]", "", text).upper()
    if not _FORM.fullmatch(vin):
        raise Rejected(
            f"VIN: expected {LENGTH} letters and digits without I, O and Q, was {text!r}", code="bad_vin"
        )
    expected = check_digit(vin)
    if vin[0] in _CHECKED_FIRST_LETTERS and vin[CHECK_POSITION] != expected:
        raise Rejected(
            f"VIN {vin}: expected the check digit {expected} in position 9, was {vin[CHECK_POSITION]}",
            code="bad_vin_check_digit",
        )
    return vin
