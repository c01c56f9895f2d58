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
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx

from core.errors import Misconfigured
from valuation.intake.mapping import Mapping, read_mapping

_OWN_KEYS = {"name", "url", "items", "next", "optional", "auth", "limits"}
_AUTH_KEYS = {"env", "header", "scheme"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is asked of the source, and how much is taken from it."""

    requests_per_s: float = 2.0
    burst: int = 4
    timeout_s: float = 20.0
    """For one whole answer, not for one packet of it: a feed that drips is as good as a dead one."""
    attempts: int = 5
    longest_wait_s: float = 60.0
    """A Retry-After beyond it ends this pull; the next one comes anyway."""
    most_pages: int = 1_000
    most_page_mb: float = 16.0
    most_total_mb: float = 128.0


@dataclass(frozen=True, slots=True)
class Auth:
    """Which environment variable holds the token, and how it is sent."""

    env: str
    header: str = "Authorization"
    scheme: str = "Bearer"


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
    if not isinstance(url, str) or not _is_web_address(url):
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
        auth=_auth(document.get("auth"), file),
        limits=_limits(document.get("limits", {}), file),
        mapping=mapping,
    )


def _is_web_address(url: str) -> bool:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return address.scheme in {"http", "https"} and bool(address.host) and not address.userinfo


def _auth(section: Any, file: Path) -> Auth | None:
    if section is None:
        return None
    if not isinstance(section, dict) or not section.get("env") or set(section) - _AUTH_KEYS:
        raise _bad(f"{file.name}: [auth]: expected env, header, scheme; the token itself never stands here")
    return Auth(**{key: str(value) for key, value in section.items()})


def _limits(section: Any, file: Path) -> Limits:
    known = {field.name: field.default for field in fields(Limits)}
    if not isinstance(section, dict) or set(section) - set(known):
        raise _bad(f"{file.name}: [limits]: expected {', '.join(known)}")
    for key, value in section.items():
        whole = isinstance(known[key], int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value <= 0:
            kind = "a whole number" if whole else "a number"
            raise _bad(f"{file.name}: {key}: expected {kind} above zero, was {value!r}")
    return Limits(**section)


def _bad(message: str) -> Misconfigured:
    return Misconfigured(f"Market source {message}", code="bad_source")
