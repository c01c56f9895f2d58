"""Licence plates. Chinese ones (GA 36-2018) are checked; others are kept as written, within reason."""

from __future__ import annotations

import re
import unicodedata

from core.errors import Rejected

_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_LETTERS = "A-HJ-NP-Z"  # no I, no O
_CHINESE = re.compile(
    rf"[{_PROVINCES}][A-Z](?:"
    rf"[{_LETTERS}0-9]{{5}}"  # ordinary
    rf"|[{_LETTERS}0-9]{{4}}[学警港澳挂领试超]"  # with a last word
    rf"|[A-HJK][{_LETTERS}0-9]\d{{4}}"  # new energy, small: letter first
    rf"|\d{{5}}[A-HJK]"  # new energy, large: letter last
    r")"
    r"|使\d{6}|\d{6}使"  # embassies
    rf"|[{_LETTERS}]{{2}}\d{{5}}"  # armed forces since 2012
    rf"|WJ[{_PROVINCES}]?\d{{4}}[{_LETTERS}0-9]"  # armed police
)
_FOREIGN = re.compile(r"[A-Z0-9]{2,12}")
_HAS_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def parse_plate(text: str) -> str:
    """Return a plate without spaces, dots and dashes, in capitals.

    A plate with a Chinese character must have a form of GA 36; others, 2-12 letters and digits.

    Raises:
        Rejected: it has neither form (``bad_plate``).
    """
    plate = re.sub(r"[\s.·•‧・_-]", "", unicodedata.normalize("NFKC", text)).upper()
    form = _CHINESE if _HAS_CHINESE.search(plate) else _FOREIGN
    if not form.fullmatch(plate):
        raise Rejected(
            f"Plate: expected a form such as 沪A12345, 沪AD12345 (new energy) or 粤Z1234港, was {text!r}",
            code="bad_plate",
        )
    return plate


def is_new_energy(plate: str) -> bool:
    """Tell whether a Chinese plate is of the green new-energy series: eight characters."""
    return bool(_HAS_CHINESE.match(plate)) and len(plate) == 8
