"""Money: whole minor units of one currency. Nothing here is, or becomes, a binary fraction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from core.errors import Rejected

# ISO 4217 minor-unit exponents that are not 2.
_EXPONENTS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0,
    "UGX": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}  # fmt: skip
MOST_DIGITS = 24
"""Beyond it, with 万 and decimals, Decimal's 28 digits would begin to round."""

_SYMBOLS = {"CNY": "¥", "JPY": "JP¥", "USD": "$", "EUR": "€", "GBP": "£", "INR": "₹", "KRW": "₩"}
_SYMBOLS_EN = {**_SYMBOLS, "CNY": "CN¥"}
_CODE = re.compile(r"[A-Z]{3}")

# What people write around the digits, and how many units of ten it stands for.
_SCALES = {
    "": 0,
    "千": 3,
    "万": 4,
    "萬": 4,
    "百万": 6,
    "千万": 7,
    "亿": 8,
    "億": 8,
    "k": 3,
    "K": 3,
    "m": 6,
    "M": 6,
}
_AMOUNT = re.compile(
    r"(?P<open>\()?(?P<sign>[-−－])?\s*(?P<digits>\d{1,3}(?:,\d{3})+|\d+|(?=\.\d))(?P<fraction>\.\d*)?\s*"
    r"(?P<scale>百万|千万|[千万萬亿億kKmM])?\s*(?P<close>\))?"
)
_WORDS = re.compile(r"人民币|RMB|元整|元|圆|円|￥|¥|\$|€|£|₹|₩", re.IGNORECASE)
_FULL_WIDTH = str.maketrans("０１２３４５６７８９，．（）　", "0123456789,.() ")


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount; ``amount_minor`` counts the currency's smallest unit (fen, cent, yen)."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        whole: object = self.amount_minor  # a caller without a type checker may pass anything
        if not isinstance(whole, int) or isinstance(whole, bool):
            raise Rejected(f"Money: expected whole minor units, was {self.amount_minor!r}", code="bad_amount")
        check_currency(self.currency)

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount_minor + other.amount_minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount_minor - other.amount_minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount_minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount_minor < other.amount_minor

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.amount_minor <= other.amount_minor

    def major(self) -> Decimal:
        """Return the amount in the currency's main unit, exact."""
        return Decimal(self.amount_minor).scaleb(-exponent(self.currency))

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise Rejected(f"Money: expected {self.currency}, was {other.currency}", code="currency_mismatch")


def check_currency(code: str) -> str:
    """Return the code when it has the form of ISO 4217.

    Raises:
        Rejected: it has not.
    """
    if not _CODE.fullmatch(code):
        raise Rejected(
            f"Currency: expected three capital letters (ISO 4217), was {code!r}", code="bad_currency"
        )
    return code


def exponent(currency: str) -> int:
    """Return how many decimals the currency's main unit has: 2 for CNY, 0 for JPY, 3 for KWD."""
    return _EXPONENTS.get(currency, 2)


def format_money(money: Money, locale: Literal["zh-CN", "en"] = "zh-CN") -> str:
    """Return the amount as people read it: ``¥12,345.60`` (zh-CN), ``CN¥12,345.60`` (en)."""
    places = exponent(money.currency)
    whole, part = divmod(abs(money.amount_minor), 10**places)
    symbols = _SYMBOLS if locale == "zh-CN" else _SYMBOLS_EN
    symbol = symbols.get(money.currency, money.currency + "\u00a0")
    sign = "-" if money.amount_minor < 0 else ""
    return f"{sign}{symbol}{whole:,}" + (f".{part:0{places}d}" if places else "")


def parse_money(text: str, currency: str, *, scale_exponent: int = 0) -> Money:
    """Read an amount in main units: ``123,456.78``, ``¥1.2万``, ``12.5 万元``, ``(300.00)`` for minus.

    ``scale_exponent`` says that a whole column is in tens, thousands, …: 4 for a column in 万元.

    Raises:
        Rejected: not an amount, separators in wrong places, or more decimals than the currency has.
    """
    check_currency(currency)
    plain = _WORDS.sub("", text.translate(_FULL_WIDTH).replace(currency, "")).replace("\u00a0", " ").strip()
    match = _AMOUNT.fullmatch(plain)
    if (
        match is None
        or sum(map(str.isdigit, plain)) > MOST_DIGITS
        or bool(match["open"]) != bool(match["close"])
        or (match["sign"] and match["open"])
    ):
        raise _not_money(text, currency)
    try:
        number = Decimal((match["digits"].replace(",", "") or "0") + (match["fraction"] or ""))
    except InvalidOperation as exc:
        raise _not_money(text, currency) from exc
    tens = _SCALES[match["scale"] or ""] + scale_exponent + exponent(currency)
    minor = number.scaleb(tens)
    if minor != minor.to_integral_value():
        raise Rejected(
            f"Amount: expected at most {exponent(currency)} decimals in {currency}, was {text!r}",
            code="bad_amount",
        )
    return Money(-int(minor) if match["sign"] or match["open"] else int(minor), currency)


def _not_money(text: str, currency: str) -> Rejected:
    return Rejected(
        f"Amount: expected digits such as 123,456.78 or 12.5万 in {currency}, was {text!r}", code="bad_amount"
    )
