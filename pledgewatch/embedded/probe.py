"""Ask a broker whether it lets us in, in one MQTT 3.1.1 CONNECT."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct

from core.errors import Misconfigured
from ingest.mqtt.address import Address, parse_url

ACCEPTED = 0
CONNACK = 0x20
CLOSED_WITHIN_S = 1.5
CONNACK_BYTES = 4
PROBE_CLIENT_ID = "pledgewatch-probe"


def mqtt_connect_code(
    host: str,
    port: int,
    username: str = "",
    password: str = "",
    timeout_s: float = 3.0,
    *,
    client_id: str = PROBE_CLIENT_ID,
    tls: bool = False,
) -> int | None:
    """Return the CONNACK code (0 accepted, 4 and 5 refused), None when no broker answers."""
    try:
        with _open(host, port, timeout_s, tls=tls) as connection:
            connection.sendall(_connect_packet(client_id, username, password))
            answer = b""
            while len(answer) < CONNACK_BYTES:
                part = connection.recv(CONNACK_BYTES - len(answer))
                if not part:
                    return None
                answer += part
    except OSError:
        return None
    return answer[3] if answer[0] == CONNACK else None


def account_code(url: str, *, client_id: str = PROBE_CLIENT_ID) -> int | None:
    """Return the CONNACK code for the account of a URL, None when no broker answers or it is no broker's."""
    try:
        host, port, user, password, tls = parse_url(url)
    except Misconfigured:
        return None
    return mqtt_connect_code(host, port, user or "", password or "", client_id=client_id, tls=tls)


def end_session(url: str, client_id: str) -> bool:
    """Take over a client id on our own listener with an empty session; false when that was not possible.

    Whoever was connected under it is cut off, and what was queued for it is gone.
    """
    return account_code(url, client_id=client_id) == ACCEPTED


def may_choose_client_id(address: Address) -> bool | None:
    """Tell whether one account can be there twice under names it made up; None when it is not let in.

    Where the user name is the client id, the second connection ends the first.
    """
    host, port, user, password, tls = address
    try:
        with contextlib.ExitStack() as opened:
            first, second = (
                opened.enter_context(_open(host, port, CLOSED_WITHIN_S, tls=tls)) for _ in range(2)
            )
            for number, connection in enumerate((first, second)):
                connection.sendall(_connect_packet(f"{PROBE_CLIENT_ID}-{number}", user or "", password or ""))
                answer = connection.recv(CONNACK_BYTES)
                if len(answer) < CONNACK_BYTES or answer[3] != ACCEPTED:
                    return None
            try:
                return first.recv(1) != b""
            except TimeoutError:
                return True
    except ConnectionResetError:
        return False
    except OSError:
        return None


def _open(host: str, port: int, timeout_s: float, *, tls: bool) -> socket.socket:
    connection = socket.create_connection((host, port), timeout=timeout_s)
    connection.settimeout(timeout_s)
    if not tls:
        return connection
    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except OSError:
        connection.close()
        raise


def _connect_packet(client_id: str, username: str, password: str) -> bytes:
    flags = 0x02 | (0xC0 if username else 0)
    body = _text("MQTT") + bytes([4, flags]) + struct.pack(">H", 10) + _text(client_id)
    if username:
        body += _text(username) + _text(password)
    length = len(body)
    encoded = bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            break
    return bytes([0x10]) + bytes(encoded) + body


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw
