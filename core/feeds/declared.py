"""What every declared feed has: an address, a token by environment variable, limits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Protocol

import httpx

from core.errors import Misconfigured

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


class Feed(Protocol):
    """A declared feed; ``label`` begins every message about it."""

    @property
    def label(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def auth(self) -> Auth | None: ...
    @property
    def limits(self) -> Limits: ...


def is_web_address(url: str) -> bool:
    """Tell whether an address is http(s) with a host, and holds no password."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return address.scheme in {"http", "https"} and bool(address.host) and not address.userinfo


def read_auth(section: Any) -> Auth | None:
    """Read an ``[auth]`` section.

    Raises:
        Misconfigured: something in it is wrong (``bad_source``).
    """
    if section is None:
        return None
    if not isinstance(section, dict) or not section.get("env") or set(section) - _AUTH_KEYS:
        raise _bad("[auth]: expected env, header, scheme; the token itself never stands here")
    return Auth(**{key: str(value) for key, value in section.items()})


def read_limits(section: Any) -> Limits:
    """Read a ``[limits]`` section.

    Raises:
        Misconfigured: something in it is wrong (``bad_source``).
    """
    known = {field.name: field.default for field in fields(Limits)}
    if not isinstance(section, dict) or set(section) - set(known):
        raise _bad(f"[limits]: expected {', '.join(known)}")
    for key, value in section.items():
        whole = isinstance(known[key], int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value <= 0:
            kind = "a whole number" if whole else "a number"
            raise _bad(f"{key}: expected {kind} above zero, was {value!r}")
    return Limits(**section)


def _bad(message: str) -> Misconfigured:
    return Misconfigured(message, code="bad_source")
