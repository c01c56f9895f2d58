"""Doctor's look at the gateways: their broker account, and whether somebody listens for terminals."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from core.errors import PledgewatchError
from core.settings import Settings
from ingest.gateways.jt808.dialects import load_dialects
from pledgewatch.embedded.findings import Check
from pledgewatch.embedded.probe import ACCEPTED, account_code

PART = "JT/T 808 gateway"
KNOCK_S = 1.0


def jt808(settings: Settings) -> Iterator[Check]:
    """Say whether the gateway runs here, and what it would need."""
    try:
        dialects = load_dialects()
    except PledgewatchError as error:
        yield Check(PART, "note", error.message, "correct the file; the gateway does not start with it")
        return
    url = settings.gateway_mqtt_url
    if url is not None:
        code = account_code(url)
        if code != ACCEPTED:
            why = "does not answer" if code is None else f"refused with code {code}"
            yield Check(
                PART, "note", f"PLEDGEWATCH_GATEWAY_MQTT_URL: {why}", "check the broker and the password"
            )
            return
    address = f"{settings.jt808_host}:{settings.jt808_port}"
    if _listens(settings.jt808_host, settings.jt808_port):
        yield Check(PART, "ok", f"listens on {address}; {len(dialects.known)} dialects")
    else:
        yield Check(PART, "ok", f"not running on {address} (pledgewatch gateway jt808 starts it)")


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=KNOCK_S):
            return True
    except OSError:
        return False
