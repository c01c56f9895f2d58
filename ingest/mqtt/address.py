"""Where the broker is, and as whom we go there."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from core.errors import Misconfigured


class Address(NamedTuple):
    """A broker URL taken apart."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool


def parse_url(url: str, setting: str = "PLEDGEWATCH_MQTT_URL") -> Address:
    """Take ``mqtt://user:password@host:port`` or ``mqtts://…`` apart; ``setting`` is where it came from.

    Raises:
        Misconfigured: another scheme, or no host.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        raise Misconfigured(
            f"{setting}: expected mqtt://HOST:PORT or mqtts://HOST:PORT, "
            f"was a URL with scheme {parts.scheme!r}",
            code="bad_mqtt_url",
        )
    tls = parts.scheme == "mqtts"
    return Address(
        parts.hostname,
        parts.port or (8883 if tls else 1883),
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        tls,
    )
