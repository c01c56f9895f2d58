"""The protocol of one connection, without a socket: frames in, bytes out, and when to give up."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from ingest.mqtt import packets
from ingest.mqtt.answers import read_connack, read_disconnect, read_puback, read_suback
from ingest.mqtt.reasons import FAILURE, PROTOCOL_ERROR, SUCCESS
from ingest.mqtt.wire import Malformed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.domain import Token
    from ingest.mqtt.frames import Frame

MOST_UNANSWERED = 64
"""Messages of our own without a PUBACK: a broker that answers none of so many gets no more."""


class Ended(Exception):
    """The connection is over. ``reason``: what to tell the broker, if it is to be told."""

    def __init__(
        self, kind: str, detail: str, *, reason: int | None = None, other_version: bool = False
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.reason = reason
        self.other_version = other_version


class Wishes(NamedTuple):
    """What a slot wants of its session."""

    client_id: str
    filters: Sequence[tuple[str, int]]
    unwanted: Sequence[str]
    receive_maximum: int
    session_expiry_s: int
    keepalive_s: float


class Phase(enum.Enum):
    """How far a connection is; messages of a kept session come before the subscription is answered."""

    CONNECTING = 1
    SUBSCRIBING = 2
    OPEN = 3


class Session:
    """From CONNECT to the end. ``out``: bytes that are to be sent."""

    def __init__(
        self, wishes: Wishes, username: str | None, password: str | None, *, v5: bool, now_s: float
    ) -> None:
        self._wishes = wishes
        self._v5 = v5
        self._began_s = self._sent_s = self._heard_s = now_s
        self._keepalive_s = wishes.keepalive_s
        self._pinged_s: float | None = None
        self._mid = 0
        self._subscribing_mid = 0
        self._unanswered: set[int] = set()
        self._most_unanswered = MOST_UNANSWERED
        self._most_bytes: int | None = None
        self.phase = Phase.CONNECTING
        self.session_present = False
        self.refused: str | None = None
        """The last message of our own that the broker did not take, with its words."""
        self.out = bytearray(
            packets.connect_packet(
                wishes.client_id,
                v5=v5,
                keepalive_s=max(1, round(wishes.keepalive_s)),
                session_expiry_s=wishes.session_expiry_s,
                receive_maximum=wishes.receive_maximum,
                username=username,
                password=password,
            )
        )

    # --------------------------------------------------------------------------------- what comes in

    def heard(self, now_s: float) -> None:
        """Note that the broker lives."""
        self._heard_s = now_s
        self._pinged_s = None

    def expect_accepted(self) -> None:
        """See that a message may come now.

        Raises:
            Malformed: the broker has not answered CONNECT.
        """
        if self.phase is Phase.CONNECTING:
            raise Malformed("Expected CONNACK first, was PUBLISH", PROTOCOL_ERROR)

    def handle(self, frame: Frame) -> None:
        """Take a packet other than PUBLISH.

        Raises:
            Ended: the broker refuses us or says goodbye.
            Malformed: the packet is none, or comes at the wrong time.
        """
        kind = frame.kind
        if (kind == packets.CONNACK) != (self.phase is Phase.CONNECTING):
            raise Malformed(f"Expected CONNACK once and first, was packet type {kind}", PROTOCOL_ERROR)
        if kind == packets.CONNACK:
            self._welcomed(frame)
        elif kind == packets.SUBACK:
            self._subscribed(frame)
        elif kind == packets.PUBACK:
            mid, code, words = read_puback(frame.body, v5=self._v5)
            self._unanswered.discard(mid)
            if code >= FAILURE:
                self.refused = words
        elif kind == packets.DISCONNECT and self._v5:
            raise Ended("broker_disconnected", read_disconnect(frame.body))
        elif kind not in {packets.PINGRESP, packets.UNSUBACK}:
            raise Malformed(f"Expected a packet for a subscriber, was type {kind}", PROTOCOL_ERROR)

    def _welcomed(self, frame: Frame) -> None:
        answer = read_connack(frame.body, v5=self._v5)
        if answer.refusal is not None:
            raise Ended("broker_refused", answer.refusal, other_version=answer.other_version)
        self.session_present = answer.session_present
        if answer.keepalive_s is not None:
            self._keepalive_s = answer.keepalive_s
        self._most_unanswered = min(MOST_UNANSWERED, answer.receive_maximum)
        self._most_bytes = answer.most_bytes
        if self._wishes.unwanted:
            self.out += packets.unsubscribe_packet(self._next_mid(), self._wishes.unwanted, v5=self._v5)
        if self._wishes.filters:
            self._subscribing_mid = self._next_mid()
            self.out += packets.subscribe_packet(self._subscribing_mid, self._wishes.filters, v5=self._v5)
            self.phase = Phase.SUBSCRIBING
        else:
            self.phase = Phase.OPEN

    def _subscribed(self, frame: Frame) -> None:
        mid, granted = read_suback(frame.body, v5=self._v5)
        filters = self._wishes.filters
        if (
            self.phase is not Phase.SUBSCRIBING
            or mid != self._subscribing_mid
            or len(granted) != len(filters)
        ):
            raise Malformed("Expected the SUBACK of our SUBSCRIBE, was another", PROTOCOL_ERROR)
        # Granted less than asked for, messages would come without asking for an acknowledgement.
        refused = [topic for (topic, qos), code in zip(filters, granted, strict=True) if code != qos]
        if refused:
            raise Ended("subscription_refused", f"{len(refused)} filters, first {refused[0]}", reason=SUCCESS)
        self.phase = Phase.OPEN

    # -------------------------------------------------------------------------------- what goes out

    def acknowledge(self, tokens: Sequence[Token], connection: int) -> int:
        """Put acknowledgements of this connection into ``out``; return how many they were."""
        mids = [token.mid for token in tokens if token.connection == connection]
        self.out += packets.puback_packets(mids)
        return len(mids)

    def publish(self, topic: str, payload: bytes) -> None:
        """Put a message of our own into ``out``, or leave it when the broker takes none now."""
        if len(self._unanswered) >= self._most_unanswered:
            self.refused = f"{len(self._unanswered)} messages are unanswered"
            return
        mid = self._next_mid()
        packet = packets.publish_packet(topic, payload, v5=self._v5, mid=mid)
        if self._most_bytes is not None and len(packet) > self._most_bytes:
            self.refused = f"{len(packet)} bytes, the broker takes {self._most_bytes}"
            return
        self._unanswered.add(mid)
        self.out += packet

    def sent(self, now_s: float) -> None:
        """Note that bytes have left."""
        self._sent_s = now_s

    def tick(self, now_s: float, *, listening: bool = True) -> None:
        """Keep the connection alive.

        Raises:
            Ended: the broker has not answered in time (not while we are the ones who do not listen).
        """
        if self.phase is not Phase.OPEN and now_s - self._began_s > self._wishes.keepalive_s:
            raise Ended("broker_disconnected", f"No answer within {self._wishes.keepalive_s:g} s")
        if not listening:
            self._heard_s, self._pinged_s = now_s, None
        if self.phase is Phase.CONNECTING or not self._keepalive_s:
            return
        if self._pinged_s is not None and now_s - self._pinged_s >= self._keepalive_s:
            raise Ended("broker_disconnected", f"Nothing heard for {now_s - self._heard_s:.1f} s")
        if now_s - min(self._sent_s, self._heard_s) >= self._keepalive_s and self._pinged_s is None:
            self._pinged_s = self._sent_s = now_s
            self.out += packets.PINGREQ_BYTES

    def farewell(self, reason: int = SUCCESS, *, end_session: bool = False) -> None:
        """Put DISCONNECT into ``out``, if there is anybody to say it to."""
        if self.phase is not Phase.CONNECTING:
            self.out += packets.disconnect_packet(v5=self._v5, reason=reason, end_session=end_session)

    def _next_mid(self) -> int:
        while True:
            self._mid = self._mid % 65_535 + 1
            if self._mid not in self._unanswered:
                return self._mid
