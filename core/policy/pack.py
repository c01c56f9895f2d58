"""A policy pack: what the law of a market and the rules of the house come to, read from TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal

from core.errors import Misconfigured, Rejected
from core.policy.dates import end_of_business_day, local_day
from core.policy.fields import check_fields
from core.policy.reading import Document, Source, read_pack

Locale = Literal["zh-CN", "en"]
LOCALES: tuple[Locale, ...] = ("zh-CN", "en")


@dataclass(frozen=True, slots=True)
class Pack:
    """One version of a pack. Money is in minor units of ``currency``."""

    name: str
    version: int
    in_force_from: date
    zone: str
    currency: str
    start_floor_pct: int
    appraisal_max_age_days: int
    announcement: timedelta
    min_duration: timedelta
    min_resume: timedelta
    window_ms: int
    extension_ms: int
    drain_ms: int
    deposit_pct: int
    steps: tuple[tuple[int, int], ...]
    tick_minor: int
    high_factor: int
    pay_by: timedelta
    pay_by_business_days: int
    approval_expiry: timedelta
    cost_caps: Mapping[str, int] = field(hash=False)
    interest_cap_pct: int
    day_count: int
    single_bidder_suffices: bool
    terms_version: str
    title_steps: tuple[str, ...]
    title_requires: Mapping[str, tuple[str, ...]] = field(hash=False)
    holidays: frozenset[date]
    keep_reports: timedelta
    """Where a vehicle was, report by report; then what it did by the hour, then by the day."""
    keep_hours: timedelta
    keep_days: timedelta
    words: Mapping[str, Mapping[str, str]] = field(hash=False, repr=False)
    sources: Mapping[str, Source] = field(hash=False, repr=False)
    """Of each field: since when, and on what basis."""

    def floor_minor(self, appraisal_minor: int) -> int:
        """Return the least start price for an appraisal, rounded up to whole minor units."""
        return -(-appraisal_minor * self.start_floor_pct // 100)

    def deposit_minor(self, start_minor: int) -> int:
        """Return the deposit for a start price, rounded up to whole ticks."""
        return -(-start_minor * self.deposit_pct // (100 * self.tick_minor)) * self.tick_minor

    def pay_by_at(self, hammered_at: datetime) -> datetime:
        """Return when the price is due: so many business days of the place, or a plain period."""
        if self.pay_by_business_days:
            return end_of_business_day(hammered_at, self.pay_by_business_days, self.zone, self.holidays)
        return hammered_at + self.pay_by

    def day_of(self, moment: datetime) -> date:
        """Return the calendar day of a moment where the pack is law."""
        return local_day(moment, self.zone)

    def word(self, key: str, locale: Locale = "zh-CN") -> str:
        """Return what a screen calls something.

        Raises:
            Rejected: the pack has no such word.
        """
        try:
            return self.words[locale][key]
        except KeyError as exc:
            raise Rejected(
                f"Pack {self.name}: expected a word for {key!r} in {locale}, has none", code="word_missing"
            ) from exc


_loaded: dict[tuple[str, int | None], Pack] = {}


def load_pack(name: str, version: int | None = None) -> Pack:
    """Return a pack, checked; without a version the newest.

    Raises:
        Misconfigured: there is no such pack or version, or a field is missing, unknown or out of range.
    """
    if (name, version) not in _loaded:
        _loaded[name, version] = pack_of(read_pack(name, version), name)
    return _loaded[name, version]


def pack_of(document: Document, where: str) -> Pack:
    """Return the pack that a file describes.

    Raises:
        Misconfigured: a field is missing, unknown or out of range.
    """
    values = check_fields(document.fields, where)
    caps = values.pop("interest_caps_pct")
    licence = values.pop("licence")
    if licence not in caps:
        raise Misconfigured(
            f"Pack {where}: expected licence of {', '.join(caps)}, was {licence!r}", code="bad_pack"
        )
    missing = sorted(set(document.words["zh-CN"]) ^ set(document.words["en"]))
    wanted = {f"step.{step}" for step in values["title_steps"]} | {
        f"cost.{kind}" for kind in values["cost_caps"]
    }
    missing += sorted(wanted - set(document.words["zh-CN"]))
    if missing:
        raise Misconfigured(
            f"Pack {where}: expected words in both languages for {', '.join(missing)}", code="bad_pack"
        )
    strays = {s for s, needs in values["title_requires"].items() for s in (s, *needs)} - set(
        values["title_steps"]
    )
    if strays:
        raise Misconfigured(
            f"Pack {where}: expected title_requires of known steps, was {', '.join(sorted(strays))}",
            code="bad_pack",
        )
    return Pack(
        name=document.name,
        version=document.version,
        in_force_from=document.in_force_from,
        zone=document.zone,
        currency=document.currency,
        interest_cap_pct=caps[licence],
        words=document.words,
        sources=document.sources,
        **values,
    )
