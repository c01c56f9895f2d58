"""One cell as one value. Each reader raises Rejected with a code and what was expected."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from core.domain.money import parse_money
from core.errors import Rejected

WORDS = Path(__file__).with_name("words.toml")
LONGEST_TEXT = 120
_DATE = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?:\s*日)?")
_COMPACT_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?\s*(Z|[+-]\d{2}:?\d{2})?", re.IGNORECASE)
_ENGINE = re.compile(r"[A-Z0-9*/ -]{3,32}")
_YEARS = range(1950, 2101)


@dataclass(frozen=True, slots=True)
class CellContext:
    """What a cell's meaning depends on beside itself."""

    timezone: str = "Asia/Shanghai"
    currency: str = "CNY"
    scale_exponent: int = 0


@cache
def word_lists() -> Mapping[str, Any]:
    """Return words.toml."""
    with WORDS.open("rb") as handle:
        return tomllib.load(handle)


def plain(text: str) -> str:
    """Return a text as headers and words are compared: no case, width, spaces, dashes, underscores."""
    return re.sub(r"[\s_\-·:*]", "", unicodedata.normalize("NFKC", text)).casefold()


@cache
def spellings(name: str) -> Mapping[str, str]:
    """Return plain spelling -> word of a list in words.toml; a word spells itself."""
    listed = word_lists()["words"][name]
    return {plain(spelling): word for word, others in listed.items() for spelling in (word, *others)}


def read_word(name: str, text: str) -> str:
    """Return the word that a spelling stands for."""
    word = spellings(name).get(plain(text))
    if word is None:
        known = ", ".join(f"{word} ({others[0]})" for word, others in word_lists()["words"][name].items())
        raise Rejected(f"expected one of {known}, was {text!r}", code="unknown_word")
    return word


def read_truth(text: str, _: CellContext) -> bool:
    """Return yes or no."""
    return read_word("truth", text) == "yes"


def read_text(text: str, _: CellContext) -> str:
    """Return a text of one line."""
    one_line = " ".join(text.split())
    if len(one_line) > LONGEST_TEXT:
        raise Rejected(f"expected at most {LONGEST_TEXT} characters, was {len(one_line)}", code="too_long")
    return one_line


def read_id(text: str, _: CellContext) -> str:
    """Return an identifier: no white space inside."""
    if len(text) > LONGEST_TEXT or re.search(r"\s", text):
        raise Rejected(
            f"expected an identifier of at most {LONGEST_TEXT} characters without spaces, was {text!r}",
            code="bad_id",
        )
    return text


def read_engine_number(text: str, _: CellContext) -> str:
    """Return an engine number in capitals."""
    number = unicodedata.normalize("NFKC", text).strip().upper()
    if not _ENGINE.fullmatch(number):
        raise Rejected(f"expected 3-32 letters and digits, was {text!r}", code="bad_engine_number")
    return number


def read_count(text: str, _: CellContext) -> int:
    """Return a whole number from zero on; a unit of days or seconds may follow."""
    match = re.fullmatch(r"(\d{1,9})(?:\.0+)?\s*(?:天|日|秒|days?|d|s)?", unicodedata.normalize("NFKC", text))
    if match is None:
        raise Rejected(f"expected a whole number from 0 on, was {text!r}", code="bad_number")
    return int(match[1])


def read_positive(text: str, context: CellContext) -> int:
    """Return a whole number from one on."""
    number = read_count(text, context)
    if number == 0:
        raise Rejected(f"expected a whole number from 1 on, was {text!r}", code="bad_number")
    return number


def read_year(text: str, _: CellContext) -> int:
    """Return a year; 款 (model) or 年 (year) may follow."""
    match = re.fullmatch(r"(\d{4})(?:\.0)?\s*[年款]{0,2}", text)
    if match is None or int(match[1]) not in _YEARS:
        raise Rejected(f"expected a year, was {text!r}", code="bad_year")
    return int(match[1])


def read_date(text: str, _: CellContext) -> date:
    """Return a day, year first: 2024-01-31, 2024/1/31, 20240131, 2024年1月31日; a time is dropped."""
    day, _rest = _day_and_rest(text)
    return day


def read_moment(text: str, context: CellContext) -> tuple[datetime, datetime]:
    """Return the moment meant and the end of what it covers, both UTC.

    A day without a time begins at its local midnight and covers the day to its end; a time without a
    zone is local.
    """
    day, rest = _day_and_rest(text)
    zone = ZoneInfo(context.timezone)
    if not rest:
        start = datetime.combine(day, time(0), zone)
        end = datetime.combine(day + timedelta(days=1), time(0), zone) - timedelta(microseconds=1)
        return start.astimezone(UTC), end.astimezone(UTC)
    match = _CLOCK.fullmatch(rest)
    if match is None:
        raise _bad_moment(text)
    hour, minute, second, fraction, offset = match.groups()
    written = f"{day.isoformat()}T{int(hour):02d}:{minute}:{second or '00'}{(fraction or '.0').ljust(7, '0')}"
    try:
        moment = datetime.fromisoformat(written + (offset.upper() if offset else ""))
    except ValueError as exc:
        raise _bad_moment(text) from exc
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    return moment, moment


def read_amount(text: str, context: CellContext) -> int:
    """Return minor units of an amount in main units, not below zero."""
    money = parse_money(text, context.currency, scale_exponent=context.scale_exponent)
    return _not_negative(money.amount_minor, text)


def read_minor(text: str, _: CellContext) -> int:
    """Return an amount that is in minor units already."""
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise Rejected(f"expected whole minor units, was {text!r}", code="bad_amount")
    return _not_negative(int(text), text)


def _not_negative(amount_minor: int, text: str) -> int:
    if amount_minor < 0:
        raise Rejected(f"expected an amount from 0 on, was {text!r}", code="bad_amount")
    return amount_minor


def _day_and_rest(text: str) -> tuple[date, str]:
    written = unicodedata.normalize("NFKC", text).strip()
    match = _DATE.match(written) or _COMPACT_DATE.match(written)
    if match is None:
        raise _bad_date(text)
    rest = written[match.end() :]
    if rest and not re.match(r"[T\s]", rest, re.IGNORECASE):
        raise _bad_date(text)
    try:
        day = date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError as exc:
        raise _bad_date(text) from exc
    if day.year not in _YEARS:
        raise _bad_date(text)
    return day, rest.lstrip("Tt \t")


def _bad_date(text: str) -> Rejected:
    return Rejected(
        f"expected a day such as 2024-01-31, 2024/1/31, 20240131 or 2024年1月31日, was {text!r}",
        code="bad_date",
    )


def _bad_moment(text: str) -> Rejected:
    return Rejected(
        f"expected a time such as 2024-01-31 18:30 or 2024-01-31T18:30:00+08:00, was {text!r}",
        code="bad_time",
    )
