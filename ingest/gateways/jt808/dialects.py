"""Dialects: what the bits and items of a model mean, as data (dialects/*.toml).

The same bit is "light sensor" on one tracker and "right-turn blind area" on another. A dialect `extends`
another: an empty word or `false` takes a meaning away. A file with a mistake stops the start and is named.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from core.errors import Misconfigured

FOLDER = Path(__file__).parent / "dialects"
STANDARD_2013, STANDARD_2019 = "standard-2013", "standard-2019"
NUMBERS: Final = {"u8": (1, False), "u16": (2, False), "u32": (4, False), "i8": (1, True), "i16": (2, True)}
KINDS: Final = frozenset({*NUMBERS, "csq", "text", "hex", "first_bit", "alarm_bits", "crossing"})
DATUMS: Final = frozenset({"wgs84", "gcj02", "bd09"})
_TOP = {"name", "extends", "models", "time", "position", "behaviour", "alarm_bits", "alarm_flags",
        "status_flags", "status_words", "items"}  # fmt: skip
_ITEM = {"field", "kind", "scale", "offset", "least", "most", "words", "bits"}


@dataclass(frozen=True, slots=True)
class Flag:
    """A field that one bit tells."""

    field: str
    bit: int
    inverted: bool


@dataclass(frozen=True, slots=True)
class ItemRule:
    """How one additional item is read; ``offset`` in bytes, ``least`` and ``most`` after scaling."""

    kind: str
    field: str
    scale: float = 1
    offset: int = 0
    least: float | None = None
    most: float | None = None
    words: tuple[tuple[int, str], ...] = ()
    crossings: tuple[tuple[int, tuple[str, str]], ...] = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a model means; ``models`` are patterns of the registry's model or the one it registered with."""

    name: str
    models: tuple[str, ...]
    utc_offset_s: int
    datum: str
    answer_each_packet: bool
    alarm_words: tuple[tuple[int, str], ...]
    status_words: tuple[tuple[int, str], ...]
    alarm_flags: tuple[Flag, ...]
    status_flags: tuple[Flag, ...]
    items: dict[int, ItemRule]


class Dialects:
    """All dialects by name."""

    def __init__(self, known: dict[str, Dialect]) -> None:
        self.known = known

    def choose(self, *names_or_models: str | None, is_2019: bool) -> Dialect:
        """Return the dialect of the first of these that is one's name or fits one's models."""
        for wanted in names_or_models:
            if wanted is None:
                continue
            if wanted in self.known:
                return self.known[wanted]
            for dialect in self.known.values():
                if any(fnmatchcase(wanted, pattern) for pattern in dialect.models):
                    return dialect
        return self.known[STANDARD_2019 if is_2019 else STANDARD_2013]


def load_dialects(folder: Path = FOLDER) -> Dialects:
    """Read every file of a folder.

    Raises:
        Misconfigured: a mistake in a file; names the file and the key.
    """
    raws = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            raws[path.stem] = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as exc:
            raise _mistake(path.stem, f"expected TOML: {exc}") from exc
        _expect(path.stem, raws[path.stem].get("name") == path.stem, f"expected name = {path.stem!r}")
        _expect_keys(path.stem, raws[path.stem], _TOP)
    known = {name: _build(name, _flatten(name, raws, ())) for name in raws}
    for name in (STANDARD_2013, STANDARD_2019):
        _expect(name, name in known, f"expected a file in {folder.name}")
    return Dialects(known)


def _flatten(name: str, raws: dict[str, dict[str, Any]], seen: tuple[str, ...]) -> dict[str, Any]:
    raw = raws[name]
    parent = raw.get("extends")
    if parent is None:
        return raw
    _expect(
        name, parent in raws and parent not in {*seen, name}, f"expected extends of a file, was {parent!r}"
    )
    base = _flatten(parent, raws, (*seen, name))
    merged = {**base, **raw}
    for table in _TOP - {"name", "extends", "models"}:
        merged[table] = {**base.get(table, {}), **raw.get(table, {})}
    return merged


def _build(name: str, raw: dict[str, Any]) -> Dialect:
    time, position, behaviour = (_table(name, raw, key) for key in ("time", "position", "behaviour"))
    _expect_keys(name, time, {"utc_offset_h"})
    _expect_keys(name, position, {"datum"})
    _expect_keys(name, behaviour, {"answer_each_packet"})
    offset_h, datum = time.get("utc_offset_h", 99), str(position.get("datum"))
    _expect(
        name, isinstance(offset_h, int) and -12 <= offset_h <= 14, "expected time.utc_offset_h, -12 to 14"
    )
    _expect(name, datum in DATUMS, f"expected position.datum of {', '.join(sorted(DATUMS))}")
    models = raw.get("models", [])
    _expect(name, isinstance(models, list) and all(isinstance(one, str) for one in models), "expected models")
    return Dialect(
        name=name,
        models=tuple(models),
        utc_offset_s=offset_h * 3600,
        datum=datum,
        answer_each_packet=bool(behaviour.get("answer_each_packet", False)),
        alarm_words=_words(name, _table(name, raw, "alarm_bits")),
        status_words=_words(name, _table(name, raw, "status_words")),
        alarm_flags=_flags(name, _table(name, raw, "alarm_flags")),
        status_flags=_flags(name, _table(name, raw, "status_flags")),
        items={
            _hex(name, number): _item(name, number, rule)
            for number, rule in _table(name, raw, "items").items()
        },
    )


def _item(name: str, number: str, raw: dict[str, Any]) -> ItemRule:
    where = f"items.{number}"
    _expect(name, isinstance(raw, dict), f"expected a table {where}")
    _expect_keys(name, raw, _ITEM)
    kind, field = raw.get("kind"), raw.get("field", "")
    _expect(name, kind in KINDS, f"{where}: expected kind of {', '.join(sorted(KINDS))}, was {kind!r}")
    needs_field = kind not in {"alarm_bits", "crossing"}
    _expect(
        name, bool(field) == needs_field, f"{where}: field goes with every kind but alarm bits and crossing"
    )
    _expect(name, ("words" in raw) == (kind in {"first_bit", "alarm_bits"}), f"{where}: words of this kind")
    _expect(name, ("bits" in raw) == (kind == "crossing"), f"{where}: bits go with kind crossing")
    crossings = []
    for bit, pair in raw.get("bits", {}).items():
        _expect(name, isinstance(pair, list) and len(pair) == 2, f"{where}.bits: expected [into, out of]")
        crossings.append((_bit(name, bit), (str(pair[0]), str(pair[1]))))
    return ItemRule(
        kind=str(kind),
        field=field,
        scale=raw.get("scale", 1),
        offset=raw.get("offset", 0),
        least=raw.get("least"),
        most=raw.get("most"),
        words=_words(name, raw.get("words", {})),
        crossings=tuple(crossings),
    )


def _words(name: str, raw: dict[str, Any]) -> tuple[tuple[int, str], ...]:
    for bit, word in raw.items():
        _expect(name, isinstance(word, str), f"bit {bit}: expected a word, was {word!r}")
    return tuple(sorted((_bit(name, bit), word) for bit, word in raw.items() if word))


def _flags(name: str, raw: dict[str, Any]) -> tuple[Flag, ...]:
    flags = []
    for field, rule in raw.items():
        if rule is False:
            continue
        _expect(name, isinstance(rule, dict), f"{field}: expected {{ bit = … }} or false")
        _expect_keys(name, rule, {"bit", "inverted"})
        flags.append(Flag(field, _bit(name, str(rule.get("bit"))), bool(rule.get("inverted", False))))
    return tuple(flags)


def _table(name: str, raw: dict[str, Any], key: str) -> dict[str, Any]:
    table = raw.get(key, {})
    _expect(name, isinstance(table, dict), f"expected a table {key}")
    return dict(table)


def _bit(name: str, text: str) -> int:
    _expect(name, text.isdecimal() and int(text) < 32, f"expected a bit 0 to 31, was {text!r}")
    return int(text)


def _hex(name: str, text: str) -> int:
    try:
        number = int(text, 16)
    except ValueError:
        number = -1
    _expect(name, 0 <= number <= 0xFF, f"expected an item id of two hex digits, was {text!r}")
    return number


def _expect_keys(name: str, raw: dict[str, Any], known: set[str]) -> None:
    strange = sorted(set(raw) - known)
    _expect(name, not strange, f"expected keys of {', '.join(sorted(known))}; was {', '.join(strange)}")


def _expect(name: str, holds: bool, message: str) -> None:
    if not holds:
        raise _mistake(name, message)


def _mistake(name: str, message: str) -> Misconfigured:
    return Misconfigured(f"Dialect {name}.toml: {message}", code="bad_dialect")
