"""A market source, declared in TOML: where it is, how to read it, how gently to ask.

name  = "acme"                     # the key of its state
url   = "https://feed.example/v1/listings"
items = "data.items"               # where the list is in a page; "" when the page is the list
next  = "paging.next"              # where the link to the next page is; a Link header does too
optional = ["vehicle.trim"]        # mapped fields that a pull may lack without its schema having drifted

[auth]     env = "ACME_TOKEN", header = "Authorization", scheme = "Bearer"; the token is in the environment
[limits]   those of Limits

The rest is a mapping (intake/mapping.py) whose columns are field paths: "vehicle.vin" = "vin".
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from core.errors import Misconfigured
from core.feeds.declared import Auth, Limits, is_web_address, read_auth, read_limits
from valuation.intake.mapping import Mapping, read_mapping

_OWN_KEYS = {"name", "url", "items", "next", "optional", "auth", "limits"}
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Source:
    """A declared source."""

    name: str
    url: str
    items: str
    next: str | None
    optional: frozenset[str]
    auth: Auth | None
    limits: Limits
    mapping: Mapping

    @property
    def label(self) -> str:
        """Return what messages about the source begin with."""
        return f"Market source {self.name}"


def load_source(path: Path | str) -> Source:
    """Read a declaration.

    Raises:
        Misconfigured: no such file, not TOML, or something in it is wrong.
    """
    file = Path(path)
    if not file.is_file():
        raise Misconfigured(f"Market source: expected a TOML file, was {str(path)!r}", code="source_absent")
    raw = file.read_bytes()
    try:
        document = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise _bad(f"{file.name}: expected TOML in UTF-8: {exc}") from exc
    name = document.get("name", file.stem)
    url = document.get("url")
    if not isinstance(name, str) or not name:
        raise _bad(f"{file.name}: name: expected a text, was {name!r}")
    if not isinstance(url, str) or not is_web_address(url):
        raise _bad(f"{file.name}: url: expected http(s)://host/…, was {url!r}")
    for key in ("items", "next"):
        if not isinstance(document.get(key, ""), str):
            raise _bad(f"{file.name}: {key}: expected a field path, was {document[key]!r}")
    mapping = read_mapping(
        {key: value for key, value in document.items() if key not in _OWN_KEYS},
        name=name,
        sha256=hashlib.sha256(raw).digest(),
    )
    optional = frozenset(map(str, document.get("optional", ())))
    unknown = sorted(optional - set(mapping.columns))
    if unknown:
        raise _bad(f"{file.name}: optional: expected field paths of [columns], was {', '.join(unknown)}")
    return Source(
        name=name,
        url=url,
        items=document.get("items", ""),
        next=document.get("next"),
        optional=optional,
        auth=_section(file, read_auth, document.get("auth")),
        limits=_section(file, read_limits, document.get("limits", {})),
        mapping=mapping,
    )


def _section(file: Path, read: Callable[[Any], Part], section: Any) -> Part:
    try:
        return read(section)
    except Misconfigured as exc:
        raise _bad(f"{file.name}: {exc.message}") from exc


def _bad(message: str) -> Misconfigured:
    return Misconfigured(f"Market source {message}", code="bad_source")
