"""A lease on a slot, and which shards belong to it."""

from __future__ import annotations

from typing import NamedTuple

from core.topics import SHARDS

LEASE_S = 8
RENEW_EVERY_S = 1.0


class Lease(NamedTuple):
    """The right to commit for a slot while ``epoch`` is the newest.

    ``session_made``: the slot's session was set up at the broker before, so it must still be there.
    ``unclean_ends``: owners in a row that died before a batch had gone through the rules.
    """

    slot: int
    epoch: int
    session_made: bool
    unclean_ends: int


def client_id(slot: int) -> str:
    """Return the MQTT client id whose session holds the slot's queue."""
    return f"pw-ingest-slot-{slot:02d}"


def shards_of(slot: int, slots: int) -> list[int]:
    """Return the topic shards that the slot reads."""
    return [shard for shard in range(SHARDS) if shard % slots == slot]
