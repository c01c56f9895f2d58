"""The MQTT topic grammar ``pw/v1/{shard}/{device_id}/{kind}`` (contracts, section 2)."""

from __future__ import annotations

import re
import zlib
from typing import NamedTuple

from core.errors import Rejected

ROOT = "pw/v1"
INTERNAL_ROOT = "pw/internal"
SHARDS = 64
KINDS = ("telemetry", "event", "status", "cmd", "cmdack")
UPLINK_KINDS = ("telemetry", "event", "status", "cmdack")
MAX_PAYLOAD_BYTES = 64 * 1024
MAX_REPORTS_PER_MESSAGE = 200

SHARD = re.compile(r"[0-3][0-9a-f]")
DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_TOPIC = re.compile(r"pw/v1/([0-3][0-9a-f])/([A-Za-z0-9_-]{1,32})/(telemetry|event|status|cmd|cmdack)")


class Topic(NamedTuple):
    """A parsed topic."""

    shard: int
    device_id: str
    kind: str


def parse(topic: str) -> Topic:
    """Parse a device topic.

    Raises:
        Rejected: the topic is not of the grammar (code ``bad_topic``).
    """
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise Rejected(f"Expected {ROOT}/{{shard}}/{{device_id}}/{{kind}}, was {topic!r}", code="bad_topic")
    return Topic(int(match[1], 16), match[2], match[3])


def build(shard: int, device_id: str, kind: str) -> str:
    """Return the topic of a device."""
    return f"{ROOT}/{shard:02x}/{device_id}/{kind}"


def default_shard(device_id: str) -> int:
    """Return the shard given at provisioning: a hash that stays the same on every machine."""
    return zlib.crc32(device_id.encode()) % SHARDS


def subscriptions(shard: int) -> list[str]:
    """Return the filters that the slot owning a shard subscribes to."""
    return [f"{ROOT}/{shard:02x}/+/{kind}" for kind in UPLINK_KINDS]


def probe(slot: int) -> str:
    """Return the topic of a slot's own probe, which measures how far its session is read."""
    return f"{INTERNAL_ROOT}/probe/{slot}"
