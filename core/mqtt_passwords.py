"""Broker passwords in the form that Mosquitto and our aedes broker both read.

`$7$ITERATIONS$SALT$HASH`: PBKDF2 with HMAC-SHA-512, salt and hash in base64 (mosquitto_passwd(1)).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

PREFIX = "7"
# Mosquitto's own default. Our passwords are 256 random bits, which stretching cannot make harder to
# guess, and after an outage thousands of devices sign in within seconds.
ITERATIONS = 101
MOST_ITERATIONS = 1_000_000
SALT_BYTES = 12
HASH_BYTES = 64
PASSWORD_BYTES = 32


def new_mqtt_password() -> str:
    """Return a random 256-bit password."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def mosquitto_password_hash(password: str) -> str:
    """Return the password file's hash of a password, with a salt of its own."""
    salt = secrets.token_bytes(SALT_BYTES)
    digest = _derive(password, salt, ITERATIONS, HASH_BYTES)
    return f"${PREFIX}${ITERATIONS}${_base64(salt)}${_base64(digest)}"


def verify_mosquitto_password(password: str, stored: str) -> bool:
    """Tell whether a password is the one of a stored hash; false for a malformed hash."""
    parts = stored.split("$")
    if len(parts) != 5 or parts[0] or parts[1] != PREFIX or not parts[2].isascii() or not parts[2].isdigit():
        return False
    iterations = int(parts[2])
    try:
        salt = base64.b64decode(parts[3], validate=True)
        expected = base64.b64decode(parts[4], validate=True)
    except (binascii.Error, ValueError):
        return False
    if not 1 <= iterations <= MOST_ITERATIONS or not expected:
        return False
    return hmac.compare_digest(_derive(password, salt, iterations, len(expected)), expected)


def _derive(password: str, salt: bytes, iterations: int, length: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations, dklen=length)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
