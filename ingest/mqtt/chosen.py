"""Which of the two transports serves a slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.mqtt.fast_transport import FastTransport
from ingest.paho_transport import PahoTransport

if TYPE_CHECKING:
    from core.settings import Settings
    from ingest.mqtt.keeping import KeptConnection

TRANSPORTS: dict[str, type[KeptConnection]] = {"fast": FastTransport, "paho": PahoTransport}


def transport_of(settings: Settings) -> type[KeptConnection]:
    """Return who speaks MQTT for a slot."""
    return TRANSPORTS[settings.ingest_transport]
