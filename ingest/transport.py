"""The seam behind which messages come in: MQTT slots today, another queue tomorrow (decision 19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.domain import Delivery, Token


class Connected(NamedTuple):
    """The queue is open. ``session_present``: it still had what we had not acknowledged."""

    session_present: bool


class Trouble(NamedTuple):
    """The connection ended or was refused."""

    kind: str
    detail: str


Event = Connected | Trouble


class IngestTransport(Protocol):
    """Delivers messages of one slot at least once, in order per device, until they are acknowledged."""

    def connect(self) -> None:
        """Begin to receive; returns at once and keeps the connection up from then on."""
        ...

    def recv_batch(self, *, most: int, most_bytes: int, flush_s: float, wait_s: float) -> list[Delivery]:
        """Return deliveries in order: when ``most`` are there or the oldest has waited ``flush_s``.

        Waits at most ``wait_s`` for the first one; an empty list then.
        """
        ...

    def ack(self, tokens: Sequence[Token]) -> None:
        """Acknowledge in the order received; tokens of an earlier connection are dropped."""
        ...

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send a message of our own; false while there is no connection."""
        ...

    def events(self) -> list[Event]:
        """Return what happened to the connection since the last call."""
        ...

    @property
    def window_used(self) -> int:
        """Return how many deliveries wait for acknowledgement."""
        ...

    @property
    def connections(self) -> int:
        """Return how often a connection was made."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the queue is open now."""
        ...

    def close(self, *, end_session: bool = False) -> None:
        """Send pending acknowledgements and disconnect; the session stays unless it is to end."""
        ...
