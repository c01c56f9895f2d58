"""Reading the TOML of a pack: the file, what it extends, and of each field since when and on what basis."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from core.domain.money import check_currency
from core.errors import Misconfigured, Rejected

PACKS = Path(__file__).parent / "packs"
_HEADER = {"name", "version", "in_force_from", "zone", "currency", "extends", "field", "words"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a field's value comes from."""

    since: date
    basis: str


@dataclass(frozen=True, slots=True)
class Document:
    """A pack's file, merged over what it extends; values unchecked."""

    name: str
    version: int
    in_force_from: date
    zone: str
    currency: str
    fields: Mapping[str, Any]
    sources: Mapping[str, Source]
    words: Mapping[str, Mapping[str, str]]


def read_pack(name: str, version: int | None = None, folder: Path = PACKS) -> Document:
    """Return a pack's document; an older version lies beside the newest as ``name@version.toml``.

    Raises:
        Misconfigured: no such file, or one that is not a pack.
    """
    newest = folder / f"{name}.toml"
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if "@" in name or name not in known:
        raise Misconfigured(
            f"Policy pack: expected one of {', '.join(k for k in known if '@' not in k)}, was {name!r}",
            code="unknown_pack",
        )
    document = parse_pack(newest.read_text(encoding="utf-8"), newest.name, folder)
    if version is None or document.version == version:
        return document
    older = folder / f"{name}@{version}.toml"
    if not older.exists():
        raise Misconfigured(
            f"Policy pack {name}: expected version {version} as {older.name}, there is none",
            code="unknown_pack",
        )
    return parse_pack(older.read_text(encoding="utf-8"), older.name, folder)


def parse_pack(text: str, where: str, folder: Path = PACKS) -> Document:
    """Return the document that a text is.

    Raises:
        Misconfigured: it is not TOML, or lacks what every pack has.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise _bad(where, f"expected TOML, was not: {exc}") from exc
    if strays := sorted(set(raw) - _HEADER):
        raise _bad(where, f"expected {', '.join(sorted(_HEADER))}, was {', '.join(strays)}")
    base = read_pack(raw["extends"], folder=folder) if "extends" in raw else None
    name, version, from_day = raw.get("name"), raw.get("version"), raw.get("in_force_from")
    if not isinstance(name, str) or name != where.removesuffix(".toml").partition("@")[0]:
        raise _bad(where, f"expected the name of its file, was {name!r}")
    if type(version) is not int or version < 1:
        raise _bad(where, f"expected version from 1, was {version!r}")
    if type(from_day) is not date:
        raise _bad(where, f"expected in_force_from as a date, was {from_day!r}")
    zone = raw.get("zone", base.zone if base else None)
    if zone not in available_timezones():
        raise _bad(where, f"expected zone of the tz database, was {zone!r}")
    fields, sources = dict(base.fields) if base else {}, dict(base.sources) if base else {}
    for key, entry in raw.get("field", {}).items():
        fields[key], sources[key] = _dated(entry, f"{where}: {key}")
    words = {
        locale: {**(base.words[locale] if base else {}), **raw.get("words", {}).get(locale, {})}
        for locale in ("zh-CN", "en")
    }
    try:
        currency = check_currency(str(raw.get("currency", base.currency if base else "")))
    except Rejected as exc:
        raise _bad(where, exc.message) from exc
    return Document(name, version, from_day, zone, currency, fields, sources, words)


def _dated(entry: object, where: str) -> tuple[Any, Source]:
    if not isinstance(entry, dict) or set(entry) != {"value", "since", "basis"}:
        raise _bad(where, "expected value, since and basis")
    since, basis = entry["since"], entry["basis"]
    if type(since) is not date:
        raise _bad(where, f"expected since as a date, was {since!r}")
    if not isinstance(basis, str) or not basis.strip():
        raise _bad(where, "expected a basis in words, was empty")
    return entry["value"], Source(since, basis)


def _bad(where: str, what: str) -> Misconfigured:
    return Misconfigured(f"Policy pack {where}: {what}", code="bad_pack")
