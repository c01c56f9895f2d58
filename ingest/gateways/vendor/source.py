"""A vendor cloud, declared in TOML: where it is, how its items read, how gently to ask.

name  = "acme"                      # the key of its state
items = "data.list"                 # where the list is; "" when the body is the list
datum = "gcj02"                     # wgs84, gcj02 or bd09: never assumed
every_s = 30

[pull]    url = "https://…/positions", cursor = "since" (query parameter), start = "0";
          next = "data.cursor" (of the page) or newest = "id" (the greatest of the items); more = "data.more"
[push]    path = "/hooks/acme", secret_env = "ACME_SECRET", header = "X-Signature", scheme = "hmac-sha256" or
          "secret"; prefix = "sha256="; time_header = "X-Timestamp" (seconds, signed as "TIME.BODY")
[auth]    env = "ACME_TOKEN", header, scheme            [limits] as of market sources (core/feeds)
[device]  field = "imei", prefix = "", and [device.ids] theirs = ours
[time]    field = "gps_time", format = "rfc3339", "epoch_s", "epoch_ms" or a strptime pattern with zone = "…"
[fields]  their path = our name      [scale] ours = factor      [values.ours] "their word" = ours
[alarms]  field = "alarm", and [alarms.words] "their code" = "power_cut"
optional = ["their.path"]           # fields that all items may lack without the schema having drifted
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import Misconfigured
from core.feeds.declared import Auth, Limits, is_web_address, read_auth, read_limits
from core.geo.frames import DATUMS
from core.wire import ReportMessage

OURS = frozenset(ReportMessage.__struct_fields__) - {
    "v", "device_id", "type", "boot_id", "seq", "fix_time", "device_time", "crs", "alarms",
}  # fmt: skip
TIME_WORDS = frozenset({"rfc3339", "epoch_s", "epoch_ms"})
SECTIONS = {
    "": {
        "name", "items", "datum", "every_s", "optional", "pull", "push", "auth", "limits", "device", "time",
        "fields", "scale", "values", "alarms",
    },
    "pull": {"url", "cursor", "start", "next", "newest", "more"},
    "push": {"path", "secret_env", "header", "scheme", "prefix", "time_header"},
    "device": {"field", "prefix", "ids"},
    "time": {"field", "format", "zone"},
    "alarms": {"field", "words"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pull:
    """A list that is asked for; ``newest`` or ``next`` says where the next cursor comes from."""

    url: str
    cursor: str
    start: str | None = None
    next: str | None = None
    newest: str | None = None
    more: str | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """A webhook, and how the sender proves who it is."""

    path: str
    secret_env: str
    header: str = "X-Signature"
    scheme: str = "hmac-sha256"
    prefix: str = ""
    time_header: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A declared vendor cloud."""

    name: str
    items: str
    datum: str
    every_s: float
    pull: Pull | None
    push: Push | None
    auth: Auth | None
    limits: Limits
    device_field: str
    device_prefix: str
    device_ids: dict[str, str]
    time_field: str
    time_format: str
    zone: ZoneInfo | None
    fields: dict[str, str]
    scale: dict[str, float] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    alarm_field: str | None = None
    alarm_words: dict[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """Return what messages about the source begin with."""
        return f"Vendor source {self.name}"

    @property
    def url(self) -> str:
        """Return the address that a pull may not leave."""
        return self.pull.url if self.pull else ""

    @property
    def needed(self) -> list[str]:
        """Return the paths that must be in at least one item."""
        paths = {self.device_field, self.time_field, *self.fields}
        return sorted(paths - self.optional)


def load_source(path: Path | str) -> Source:
    """Read a declaration.

    Raises:
        Misconfigured: no such file, not TOML, or something in it is wrong (``bad_source``).
    """
    file = Path(path)
    if not file.is_file():
        raise Misconfigured(f"Vendor source: expected a TOML file, was {str(path)!r}", code="source_absent")
    try:
        return read_source(tomllib.loads(file.read_text(encoding="utf-8")), file.stem)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, Misconfigured) as exc:
        why = exc.message if isinstance(exc, Misconfigured) else f"expected TOML in UTF-8: {exc}"
        raise Misconfigured(f"Vendor source {file.name}: {why}", code="bad_source") from exc


def read_source(document: dict[str, Any], name: str) -> Source:
    """Build a source from a TOML document.

    Raises:
        Misconfigured: a key is unknown, missing, or not what it should be.
    """
    for section, known in SECTIONS.items():
        part = _table(document, section) if section else document
        unknown = sorted(set(part) - known)
        if unknown:
            raise _bad(f"{section or 'top'}: expected {', '.join(sorted(known))}, was {', '.join(unknown)}")
    device, time, alarms = (_table(document, section) for section in ("device", "time", "alarms"))
    fields = {str(theirs): str(ours) for theirs, ours in _table(document, "fields").items()}
    wrong = sorted(set(fields.values()) - OURS)
    missing = sorted({"lat", "lon"} - set(fields.values()))
    if wrong or missing or len(set(fields.values())) < len(fields):
        raise _bad(f"[fields]: expected each of our names once, with lat and lon; was {wrong or missing}")
    datum = document.get("datum")
    if datum not in DATUMS:
        raise _bad(f"datum: expected one of {', '.join(DATUMS)}, was {datum!r}")
    scale = _table(document, "scale")
    if set(scale) - set(fields.values()) or not all(_is_number(value) for value in scale.values()):
        raise _bad("[scale]: expected our names with a factor each")
    values = _table(document, "values")
    if set(values) - set(fields.values()) or not all(isinstance(table, dict) for table in values.values()):
        raise _bad("[values]: expected a table for each of our names")
    every_s = document.get("every_s", 30)
    if not _is_number(every_s) or every_s <= 0:
        raise _bad(f"every_s: expected seconds above zero, was {every_s!r}")
    pull, push = _pull(document), _push(document)
    if pull is None and push is None:
        raise _bad("expected [pull] or [push], was neither")
    format_, zone = _text(time, "format", "rfc3339"), time.get("zone")
    if format_ not in TIME_WORDS and "%" not in format_:
        raise _bad(f"[time] format: expected {', '.join(sorted(TIME_WORDS))} or a pattern, was {format_!r}")
    if "%" in format_ and "%z" not in format_ and zone is None:
        raise _bad("[time]: expected a zone, the pattern has none")
    return Source(
        name=_text(document, "name", name), items=_text(document, "items", ""), datum=datum,
        every_s=float(every_s), pull=pull, push=push, auth=read_auth(document.get("auth")),
        limits=read_limits(document.get("limits", {})),
        device_field=_text(device, "field"), device_prefix=_text(device, "prefix", ""),
        device_ids={str(theirs): str(ours) for theirs, ours in _table(device, "ids").items()},
        time_field=_text(time, "field"), time_format=format_, zone=_zone(zone), fields=fields,
        scale={ours: float(factor) for ours, factor in scale.items()}, values=values,
        alarm_field=_text(alarms, "field") if alarms else None,
        alarm_words={str(theirs): str(ours) for theirs, ours in _table(alarms, "words").items()},
        optional=frozenset(map(str, document.get("optional", ()))),
    )  # fmt: skip


def _pull(document: dict[str, Any]) -> Pull | None:
    section = _table(document, "pull")
    if not section:
        return None
    pull = Pull(
        _text(section, "url"), _text(section, "cursor"),
        *(_optional(section, key) for key in ("start", "next", "newest", "more")),
    )  # fmt: skip
    if not is_web_address(pull.url):
        raise _bad(f"[pull] url: expected http(s)://host/…, was {pull.url!r}")
    if (pull.next is None) == (pull.newest is None):
        raise _bad("[pull]: expected next or newest, one of them")
    return pull


def _push(document: dict[str, Any]) -> Push | None:
    section = _table(document, "push")
    if not section:
        return None
    push = Push(
        _text(section, "path"), _text(section, "secret_env"), _text(section, "header", "X-Signature"),
        _text(section, "scheme", "hmac-sha256"), _text(section, "prefix", ""),
        _optional(section, "time_header"),
    )  # fmt: skip
    if not push.path.startswith("/") or push.scheme not in {"hmac-sha256", "secret"}:
        raise _bad('[push]: expected path = "/…" and scheme = "hmac-sha256" or "secret"')
    return push


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    section = document.get(key, {})
    if not isinstance(section, dict):
        raise _bad(f"{key}: expected a table, was {section!r}")
    return section


def _text(section: dict[str, Any], key: str, default: str | None = None) -> str:
    value = section.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise _bad(f"{key}: expected a text, was {value!r}")
    return value


def _optional(section: dict[str, Any], key: str) -> str | None:
    return _text(section, key) if key in section else None


def _zone(name: Any) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise _bad(f"[time] zone: expected a time zone, was {name!r}") from exc


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bad(message: str) -> Misconfigured:
    return Misconfigured(message, code="bad_source")
