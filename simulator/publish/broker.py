"""Where the broker is, how to sign in, and which MQTT it speaks."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.clock import monotonic
from core.errors import Misconfigured, Unavailable

KEEPALIVE_S = 60
CONNECT_TIMEOUT_S = 5.0
PROBE_S = 5.0
PORTS = {"mqtt": 1883, "mqtts": 8883}
UNSUPPORTED_PROTOCOL = {0x84, 0x01}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker URL taken apart: ``mqtt://user:password@host:port``, ``mqtts://`` with TLS."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> BrokerAddress:
        """Read a broker URL.

        Raises:
            Misconfigured: another scheme, or no host.
        """
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise Misconfigured(
                f"Broker URL: expected mqtt://HOST[:PORT] or mqtts://…, was scheme {parts.scheme!r}",
                code="bad_mqtt_url",
            )
        return cls(
            host=parts.hostname,
            port=parts.port or PORTS[parts.scheme],
            tls=parts.scheme == "mqtts",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )


def new_client(
    address: BrokerAddress, protocol: MQTTProtocolVersion, client_id: str, username: str, password: str | None
) -> Any:
    """Return a paho client that is driven from outside and keeps what is not acknowledged."""
    options: dict[str, Any] = {} if protocol == MQTTProtocolVersion.MQTTv5 else {"clean_session": True}
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=protocol,
        reconnect_on_failure=False,
        **options,
    )
    client.username_pw_set(username, password)
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.suppress_exceptions = False
    if address.tls:
        client.tls_set()
    return client


def probe_protocol(address: BrokerAddress, username: str, password: str | None) -> MQTTProtocolVersion:
    """Return MQTT 5 where the broker has it, else 3.1.1. A refused password is not this question's.

    Raises:
        Unavailable: nobody listens there.
    """
    answer = _try_connect(address, MQTTProtocolVersion.MQTTv5, username, password)
    if answer is None or answer in UNSUPPORTED_PROTOCOL:
        return MQTTProtocolVersion.MQTTv311
    return MQTTProtocolVersion.MQTTv5


def _try_connect(
    address: BrokerAddress, protocol: MQTTProtocolVersion, username: str, password: str | None
) -> int | None:
    client = new_client(address, protocol, f"{username[:24]}-probe", username, password)
    answers: list[int] = []
    client.on_connect = lambda _c, _u, _f, reason, _p: answers.append(int(reason.value))
    try:
        client.connect(address.host, address.port, KEEPALIVE_S)
    except OSError as exc:
        raise Unavailable(
            f"Broker: expected one at {address.host}:{address.port}, {exc.strerror or exc}",
            code="broker_down",
        ) from exc
    deadline = monotonic() + PROBE_S
    while not answers and monotonic() < deadline:
        if client.loop(0.1) != mqtt.MQTT_ERR_SUCCESS:
            break
    with contextlib.suppress(OSError, ValueError):
        client.disconnect()
        client.loop(0.1)
    return answers[0] if answers else None
