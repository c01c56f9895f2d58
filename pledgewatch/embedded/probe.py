"""Ask a broker whether it lets us in, in one MQTT 3.1.1 CONNECT."""

from __future__ import annotations

import socket
import struct

ACCEPTED = 0
CONNACK = 0x20
CONNACK_BYTES = 4


def mqtt_connect_code(
    host: str, port: int, username: str = "", password: str = "", timeout_s: float = 3.0
) -> int | None:
    """Return the CONNACK code (0 accepted, 4 and 5 refused), None when no broker answers."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(_connect_packet(username, password))
            answer = b""
            while len(answer) < CONNACK_BYTES:
                part = connection.recv(CONNACK_BYTES - len(answer))
                if not part:
                    return None
                answer += part
    except OSError:
        return None
    return answer[3] if answer[0] == CONNACK else None


def _connect_packet(username: str, password: str) -> bytes:
    flags = 0x02 | (0xC0 if username else 0)
    body = _text("MQTT") + bytes([4, flags]) + struct.pack(">H", 10) + _text("pledgewatch-probe")
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
