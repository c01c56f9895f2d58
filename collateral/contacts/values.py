"""Contact values in one spelling, so that equal ones are found equal."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

from core.errors import Rejected


class ContactKind(StrEnum):
    """What a value is."""

    PHONE = "phone"
    EMAIL = "email"
    ADDRESS = "address"
    WECHAT = "wechat"
    NAME = "name"


LONGEST_VALUE = 300
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_WECHAT = re.compile(r"[A-Za-z0-9][-_A-Za-z0-9]{5,29}")
_PHONE = re.compile(r"\+?\d{7,15}")
_CHINESE_MOBILE = re.compile(r"1[3-9]\d{9}")


def normal_value(kind: str, text: str) -> str:
    """Return a contact value in its one spelling; phone numbers with country code where it is known.

    Raises:
        Rejected: an unknown kind (``bad_contact_kind``) or a value that cannot be one (``bad_contact``).
    """
    if kind not in set(ContactKind):
        raise Rejected(
            f"Contact: expected a kind of {', '.join(ContactKind)}, was {kind!r}", code="bad_contact_kind"
        )
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    if not plain or len(plain) > LONGEST_VALUE or not plain.isprintable():
        raise Rejected(
            f"Contact: expected 1-{LONGEST_VALUE} printable characters, had {len(plain)}", code="bad_contact"
        )
    match kind:
        case ContactKind.PHONE:
            return _phone(plain)
        case ContactKind.EMAIL:
            return _checked(_EMAIL, plain.lower(), "an e-mail address")
        case ContactKind.WECHAT:
            # A WeChat account is also reachable under the phone number it is registered with.
            return (
                _phone(plain) if _CHINESE_MOBILE.fullmatch(plain) else _checked(_WECHAT, plain, "a WeChat id")
            )
        case _:
            return plain


def _phone(text: str) -> str:
    digits = re.sub(r"[\s().-]", "", text)
    digits = re.sub(r"^(\+?86|0086)(?=1[3-9]\d{9}$)", "", digits)
    if _CHINESE_MOBILE.fullmatch(digits):
        return "+86" + digits
    return _checked(_PHONE, digits, "a phone number of 7-15 digits")


def _checked(form: re.Pattern[str], value: str, what: str) -> str:
    # The value stays out of the message: errors end up in logs, and this one is somebody's number.
    if not form.fullmatch(value):
        raise Rejected(
            f"Contact: expected {what}, was {len(value)} characters of another form", code="bad_contact"
        )
    return value
