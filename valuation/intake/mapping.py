"""A mapping says what a foreign file's columns mean here. It is TOML; see valuation/mappings/.

[columns]   theirs = "ours", or a list of ours
[constants] ours = value for every row
[units]     odometer = "mi" | "km" | "万公里";  price = "万元" | "thousand";  engine = "cc";  power = "kw"
[dates]     column (theirs or ours) = "%d/%m/%Y" | "iso" | "year";  or ours = a date for every row
[words.X]   their word = our word or number, for column X of ours
[exclude.R] column of ours = [words]: such rows are refused with reason R
[title]     language = "zh": make, model, trim, year are read from the title where no column gives them
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.errors import Misconfigured
from valuation.frame import CHANNELS, OURS
from valuation.intake.units import UNITS

SHIPPED = Path(__file__).parents[1] / "mappings"

_ALIASES = {
    "odometer": "odometer_km",
    "mileage": "odometer_km",
    "mileage_km": "odometer_km",
    "year": "model_year",
    "color": "colour",
    "engine": "engine_l",
    "power": "power_hp",
    "economy": "economy_mpg",
}
_SECTIONS = {"name", "columns", "constants", "units", "dates", "words", "exclude", "title"}
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Mapping:
    """What the columns of one kind of file mean; column names of ours are those of the schema."""

    name: str
    sha256: bytes = b""
    columns: Dictionary[str, tuple[str, ...]] = field(default_factory=dict)
    constants: Dictionary[str, Any] = field(default_factory=dict)
    units: Dictionary[str, str] = field(default_factory=dict)
    dates: Dictionary[str, str] = field(default_factory=dict)
    words: Dictionary[str, Dictionary[str, Any]] = field(default_factory=dict)
    exclude: tuple[tuple[str, str, frozenset[str]], ...] = ()
    title_language: str | None = None

    def theirs(self, ours: str) -> str | None:
        """Return the foreign column that feeds one of ours."""
        return next((their for their, targets in self.columns.items() if ours in targets), None)

    def with_column(self, their: str, ours: str) -> Mapping:
        """Return a mapping in which one more of their columns feeds ``ours`` (in place of another)."""
        target = _ours(ours, "--guide-column")
        kept = {
            name: tuple(one for one in targets if one != target) for name, targets in self.columns.items()
        }
        kept[their] = (*kept.get(their, ()), target)
        return replace(self, columns=kept)


def plain_mapping() -> Mapping:
    """Return the mapping of a file whose headers are our own names."""
    columns = {name: (target,) for name, target in OURS.items()}
    return Mapping(
        name="plain", columns={**columns, **{a: (t,) for a, t in _ALIASES.items() if a != "mileage"}}
    )


def load_mapping(path: Path | str) -> Mapping:
    """Read a mapping file; the bare name of a shipped one (``us_auction``) does too.

    Raises:
        Misconfigured: no such file, not TOML, or a name in it means nothing here.
    """
    file = Path(path)
    if not file.is_file():
        shipped = SHIPPED / f"{file.name.removesuffix('.toml')}.toml"
        if file.parent not in {Path(), Path("valuation/mappings")} or not shipped.is_file():
            names = ", ".join(sorted(one.stem for one in SHIPPED.glob("*.toml")))
            raise Misconfigured(
                f"Mapping: expected a TOML file or one of {names}, was {str(path)!r}", code="mapping_absent"
            )
        file = shipped
    raw = file.read_bytes()
    try:
        document = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise _bad(f"{file.name}: expected TOML in UTF-8: {exc}") from exc
    return read_mapping(document, name=file.stem, sha256=hashlib.sha256(raw).digest())


def read_mapping(document: dict[str, Any], *, name: str, sha256: bytes = b"") -> Mapping:
    """Judge the parsed TOML.

    Raises:
        Misconfigured: a section, column, unit or channel means nothing here.
    """
    unknown = sorted(set(document) - _SECTIONS)
    if unknown:
        raise _bad(f"{name}: expected sections {', '.join(sorted(_SECTIONS))}, was {', '.join(unknown)}")
    for section in _SECTIONS - {"name"}:
        if not isinstance(document.get(section, {}), dict):
            raise _bad(f"{name}: expected [{section}] to be a table")
    columns = _columns(document.get("columns", {}), name)
    constants = {_ours(ours, name): value for ours, value in document.get("constants", {}).items()}
    units = {}
    for key, unit in document.get("units", {}).items():
        for ours in _targets(key, columns, name):
            if unit not in UNITS.get(ours, {}):
                known = ", ".join(UNITS.get(ours, {})) or "none"
                raise _bad(f"{name}: unit of {key}: expected one of {known}, was {unit!r}")
            units[ours] = str(unit)
    dates = {}
    for key, value in document.get("dates", {}).items():
        for ours in _targets(key, columns, name):
            # TOML knows dates of its own; both spellings of one date for every row are taken.
            if _ISO_DATE.fullmatch(str(value)):
                constants[ours] = str(value)
            else:
                dates[ours] = str(value)
    channel = constants.get("channel")
    if channel is not None and channel not in CHANNELS:
        raise _bad(f"{name}: channel: expected one of {', '.join(CHANNELS)}, was {channel!r}")
    return Mapping(
        name=str(document.get("name", name)),
        sha256=sha256,
        columns=columns,
        constants=constants,
        units=units,
        dates=dates,
        words={
            _ours(ours, name): {str(their).strip().lower(): value for their, value in pairs.items()}
            for ours, pairs in document.get("words", {}).items()
        },
        exclude=tuple(
            (reason, _ours(ours, name), frozenset(str(word).strip().lower() for word in words))
            for reason, rules in document.get("exclude", {}).items()
            for ours, words in rules.items()
        ),
        title_language=_language(document.get("title", {}), name),
    )


def _columns(section: dict[str, Any], name: str) -> dict[str, tuple[str, ...]]:
    columns: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    for their, ours in section.items():
        listed = ours if isinstance(ours, list) else [ours]
        columns[their] = tuple(_ours(str(one), name) for one in listed)
        for one in columns[their]:
            if one in taken:
                raise _bad(f"{name}: expected one column for {one}, was {taken[one]!r} and {their!r}")
            taken[one] = their
    return columns


def _targets(key: str, columns: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    """Return the columns of ours that a key of [units] or [dates] speaks of, theirs or ours."""
    return columns[key] if key in columns else (_ours(key, name),)


def _ours(word: str, name: str) -> str:
    ours = _ALIASES.get(word) or OURS.get(word) or (word if word in OURS.values() else None)
    if ours is None:
        raise _bad(f"{name}: expected one of {', '.join(OURS)}, was {word!r}")
    return ours


def _language(section: dict[str, Any], name: str) -> str | None:
    language = section.get("language")
    if language not in {None, "zh"}:
        raise _bad(f"{name}: title language: expected zh, was {language!r}")
    return language


def _bad(message: str) -> Misconfigured:
    return Misconfigured(f"Mapping {message}", code="bad_mapping")
