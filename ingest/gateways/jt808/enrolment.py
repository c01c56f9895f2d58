"""Which terminal speaks for which device: said by an operator, before the terminal may register."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collateral.devices.store import enrolments
from core.errors import Conflict, NotFound, Rejected
from core.mqtt_passwords import mosquitto_password_hash
from ingest.gateways.jt808 import store
from ingest.gateways.jt808.messages import MOST_CODE_BYTES

if TYPE_CHECKING:
    from core.db.pool import Connection
    from ingest.gateways.jt808.dialects import Dialects

LONGEST_NUMBER = 20


def enrol(
    conn: Connection,
    device_id: str,
    dialects: Dialects,
    *,
    number: str | None = None,
    dialect: str | None = None,
    code: str | None = None,
) -> str:
    """Let a terminal speak for a registered device; returns its number as it is stored.

    Without a number the device id is it. With a code, nobody can register over the network; else the first
    registration gets one. Enrolling again begins anew: what was registered before is forgotten.

    Raises:
        Rejected: no decimal number of 1 to 20 digits, an unknown dialect, or a code no frame can hold.
        NotFound: the device is not registered. Conflict: it is revoked.
    """
    digits = (number or device_id).lstrip("0")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > LONGEST_NUMBER:
        raise Rejected(
            f"Terminal number: expected 1 to {LONGEST_NUMBER} digits, was {number or device_id!r}",
            code="bad_terminal_number",
        )
    if dialect is not None and dialect not in dialects.known:
        raise Rejected(
            f"Dialect: expected one of {', '.join(dialects.known)}, was {dialect!r}", code="unknown_dialect"
        )
    if code is not None and not 1 <= len(code.encode("gbk", "replace")) <= MOST_CODE_BYTES:
        raise Rejected(f"Code: expected 1 to {MOST_CODE_BYTES} bytes", code="bad_code")
    device = enrolments(conn, [device_id]).get(device_id)
    if device is None:
        raise NotFound(f"Device {device_id}: not registered", code="device_not_found")
    if device.revoked:
        raise Conflict(f"Device {device_id}: revoked; add it again to let it in", code="device_revoked")
    code_hash = None if code is None else mosquitto_password_hash(code)
    store.enrol(conn, digits, device_id, dialect=dialect, code_hash=code_hash)
    return digits
