"""Which numbers of a device's sequence were refused: they came and are kept, so they are no gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from ingest import reasons
from ingest.fragments import fragments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ingest.domain import DeadLetter, Refusal

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Identity(msgspec.Struct, gc=False):
    """As much of a report as says which one it is."""

    device_id: str
    boot_id: Int64
    seq: Int64


_identity = msgspec.json.Decoder(Identity)


def identities(
    refusals: Iterable[Refusal], dead: Iterable[DeadLetter], in_service: Callable[[str], bool]
) -> Iterator[tuple[str, int, int]]:
    """Yield (device, boot, seq) where the bytes still say it; a stranger's word about another counts not."""
    for refusal in refusals:
        if refusal.reason != reasons.DEVICE_MISMATCH and refusal.device_id and in_service(refusal.device_id):
            yield from _read(refusal.raw, refusal.device_id)
    for letter in dead:
        if letter.device_id and in_service(letter.device_id):
            for piece in fragments(letter.payload):
                yield from _read(piece, letter.device_id)


def _read(raw: bytes, device_id: str) -> Iterator[tuple[str, int, int]]:
    try:
        found = _identity.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # who it was is not to be read: its number stays missing
    if found.device_id == device_id:
        yield device_id, found.boot_id, found.seq
