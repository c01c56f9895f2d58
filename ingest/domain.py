"""What travels through the pipeline: deliveries, items cut out of them, and the account of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from core.domain.report import Report
from core.wire import ReportMessage

if TYPE_CHECKING:
    from collateral.commands.queue import Answer


class Token(msgspec.Struct, frozen=True, gc=False):
    """What to acknowledge: a packet id means something only on the connection that it came by."""

    connection: int
    mid: int


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One PUBLISH as the transport got it. ``token`` is None when there is nothing to acknowledge."""

    token: Token | None
    topic: str
    payload: bytes
    arrived_s: float
    retained: bool = False
    redelivered: bool = False


class Item(msgspec.Struct, gc=False):
    """One report inside a payload, with what the stages have found out about it so far."""

    topic: str
    device_id: str
    raw: bytes
    sha256: bytes
    message: ReportMessage | None = None
    ext: bytes | None = None
    report: Report | None = None
    undated: str | None = None

    @property
    def known(self) -> Report:
        """Return the report of an item that has passed the time stage."""
        assert self.report is not None  # noqa: S101 - the order of STAGES
        return self.report

    @property
    def key(self) -> tuple[str, int, int, int]:
        """Return the identity under which the item is stored (undated ones have no time in it)."""
        report = self.known
        return (self.device_id, -1 if self.undated else report.t_ms, report.boot_id, report.seq)


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """An item for the quarantine."""

    topic: str
    device_id: str | None
    reason: str
    detail: str
    raw: bytes
    sha256: bytes
    sqlstate: str | None = None


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A payload of which nothing could be read."""

    topic: str
    device_id: str | None
    reason: str
    detail: str
    payload: bytes
    sha256: bytes
    elements: tuple[bytes, ...]


class StatusChange(msgspec.Struct, frozen=True, gc=False):
    """A device said that it is there, or its last will that it is not."""

    topic: str
    device_id: str
    online: bool
    raw: bytes
    sha256: bytes
    retained: bool


class Probe(msgspec.Struct, frozen=True, gc=False):
    """A slot's own message, back through its session: all that came before it has been delivered."""

    sent_at_ms: int
    telemetry_ms: int


@dataclass(slots=True)
class Counts:
    """One ledger row. Everything received is in exactly one of the other numbers."""

    messages: int = 0
    received: int = 0
    inserted: int = 0
    duplicate: int = 0
    dup_conflict: int = 0
    undated: int = 0
    undated_duplicate: int = 0
    status: int = 0
    """Status messages, and answers to commands."""
    quarantined: int = 0
    dead: int = 0


@dataclass(slots=True)
class Batch:
    """Deliveries on their way into one transaction; the preparing stages fill the rest."""

    deliveries: list[Delivery]
    received_ms: int
    items: list[Item] = field(default_factory=list)
    statuses: list[StatusChange] = field(default_factory=list)
    answers: list[tuple[Item, Answer]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    probe: Probe | None = None
    n_messages: int = 0
    n_received: int = 0

    def refuse(self, item: Item, reason: str, detail: str) -> None:
        """Move an item to the quarantine."""
        self.refusals.append(refusal(item, reason, detail))


def refusal(item: Item | StatusChange, reason: str, detail: str, sqlstate: str | None = None) -> Refusal:
    """Return the quarantine entry of an item."""
    return Refusal(item.topic, item.device_id, reason, detail, item.raw, item.sha256, sqlstate)
