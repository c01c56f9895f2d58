"""Tell a protocol's story again with the pure engine, and say where it comes out otherwise.

A maximum that stays hidden (above the final price, of the final leader) is stood in for by any amount
above everything that was answered to it: no price ever depended on how far above it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from auction.domain import Step
from auction.engine.apply import apply
from auction.engine.state import Bid, Command, Done, End, MakeUp, NotYet, Open, Placed, Resume, Sale, Suspend
from auction.protocol.document import Body, Opening, Protocol, Terms

BID_KINDS = frozenset({"bid.accepted", "proxy.raised"})
CONSEQUENCES = frozenset({"lot.extended"})
"""Told beside the event that caused it."""
SLACK = timedelta(seconds=2)
"""Between deciding and writing down: an end that was counted from "now" may differ by so much."""
FAR_ABOVE = 1_000
ANNOUNCED = (
    "type", "pack", "pack_version", "currency", "start_minor", "deposit_minor", "tick_minor", "high_minor",
    "window_ms", "extension_ms", "drain_ms", "min_resume_ms", "starts_at", "hard_end_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong; ``seq`` is the event it was noticed at, None for the document."""

    seq: int | None
    code: str
    message: str

    def __str__(self) -> str:
        where = "protocol" if self.seq is None else f"event {self.seq}"
        return f"{where}: {self.message} [{self.code}]"


def replay(protocol: Protocol, bodies: Sequence[Body]) -> Iterator[Problem]:
    """Yield what does not follow from the rules, event by event, then what is wrong with the result."""
    sale = first_sale(protocol.lot)
    openings = {opening.seq: opening for opening in protocol.openings}
    maxima = stand_ins(protocol, openings)
    expected: Sequence[tuple[str, Mapping[str, Any]]] = []
    for body in bodies:
        if body.kind in CONSEQUENCES:
            if not expected:
                yield Problem(body.seq, "replay_event", f"{body.kind} follows from nothing")
            else:
                yield from _differences(body, *expected[0])
                expected = expected[1:]
            continue
        for kind, _ in expected:
            yield Problem(body.seq, "replay_event", f"expected {kind}, was {body.kind}")
        expected = []
        if body.kind == "lot.published":
            if body.seq != 1:
                yield Problem(body.seq, "replay_event", "a lot is published once, first of all")
            yield from _announced(protocol.lot, body)
            continue
        command = _command(body, openings.get(body.seq), maxima, protocol.lot)
        if command is None:
            yield Problem(body.seq, "replay_event", f"no rule knows {body.kind}")
            continue
        after, events, answer = apply(sale, command, body.decided_at)
        if not isinstance(answer, Done | Placed):
            yield Problem(body.seq, "replay_refused", f"the rules refuse {body.kind}: {_said(answer)}")
            continue
        told, *expected = [(event.kind, event.payload) for event in events]
        sale = _agreed_end(after, command, body)
        payload = told[1] | {"ends_at": sale.ends_at} if "ends_at" in told[1] else told[1]
        yield from _differences(body, told[0], payload)
    for kind, _ in expected:
        yield Problem(None, "replay_event", f"expected {kind} at the end, was nothing")
    yield from _result(protocol, sale)


def first_sale(terms: Terms) -> Sale:
    """Return the sale as it was published."""
    return Sale(
        state="published",
        start_minor=terms.start_minor,
        tick_minor=terms.tick_minor,
        steps=tuple(Step(*step) for step in terms.steps),
        high_minor=terms.high_minor,
        window_ms=terms.window_ms,
        extension_ms=terms.extension_ms,
        drain_ms=terms.drain_ms,
        starts_at=terms.starts_at,
        ends_at=terms.planned_end_at,
        reserve_minor=terms.reserve_minor,
        hard_end_at=terms.hard_end_at,
        min_resume_ms=terms.min_resume_ms,
    )


def _announced(terms: Terms, body: Body) -> Iterator[Problem]:
    """The parameters that bids are judged by are those that everybody was told."""
    wanted = {name: getattr(terms, name) for name in ANNOUNCED} | {
        "steps": [list(step) for step in terms.steps],
        "round_no": terms.round,
        "ends_at": terms.planned_end_at,
        "has_reserve": terms.reserve_minor is not None,
    }
    yield from _differences(body, body.kind, wanted)


def stand_ins(protocol: Protocol, openings: Mapping[int, Opening]) -> dict[int, int]:
    """Return the maximum of every bid by event number, with amounts in place of hidden ones."""
    tick_minor, reserve_minor = protocol.lot.tick_minor, protocol.lot.reserve_minor
    hidden = [opening.seq for opening in protocol.openings if opening.max_minor is None]
    if protocol.result.state == "unsold" and reserve_minor is not None:
        # Below the reserve, or the lot would have been sold; as high as can be, for no bid to be too low.
        highest = (reserve_minor - 1) // tick_minor * tick_minor
        first = highest - tick_minor * (len(hidden) - 1)
    else:
        highest = max(protocol.lot.start_minor, protocol.result.price_minor or 0) * FAR_ABOVE
        first = highest // tick_minor * tick_minor
    found = {seq: first + tick_minor * number for number, seq in enumerate(sorted(hidden))}
    return found | {
        seq: opening.max_minor for seq, opening in openings.items() if opening.max_minor is not None
    }


def _command(body: Body, opening: Opening | None, maxima: Mapping[int, int], terms: Terms) -> Command | None:
    match body.kind:
        case "bid.accepted" | "proxy.raised":
            if opening is None:
                return None
            return Bid(
                bidder=str(body.payload.get("code")),
                max_minor=maxima[body.seq],
                mode=opening.mode,
                arrived_at=body.arrived_at,
                confirm_high=True,
            )
        case "lot.opened":
            return Open()
        case "lot.suspended":
            return Suspend(str(body.payload.get("reason_class")))
        case "lot.resumed":
            return Resume()
        case "lot.outage_extension":
            outage_ms = body.payload.get("outage_ms")
            return MakeUp(outage_ms, terms.outage_grace_ms) if type(outage_ms) is int else None
        case "lot.hammered" | "lot.unsold":
            return End()
        case _:
            return None


def _agreed_end(sale: Sale, command: Command, body: Body) -> Sale:
    """Take the end from the event where it was counted from the moment of deciding, within the slack."""
    told = body.payload.get("ends_at")
    if not isinstance(command, Open | Resume) or not isinstance(told, str):
        return sale
    moment = _moment(told)
    if moment is None or abs(moment - sale.ends_at) > SLACK:
        return sale
    return replace(sale, ends_at=moment)


def _differences(body: Body, kind: str, payload: Mapping[str, Any]) -> Iterator[Problem]:
    if body.kind != kind:
        yield Problem(body.seq, "replay_event", f"expected {kind}, was {body.kind}")
        return
    for name, wanted in payload.items():
        was = body.payload.get(name)
        if isinstance(wanted, datetime) and isinstance(was, str):
            was = _moment(was)
        if was != wanted or type(was) is not type(wanted):
            yield Problem(body.seq, "replay_value", f"expected {name} {_text(wanted)}, was {_text(was)}")


def _result(protocol: Protocol, sale: Sale) -> Iterator[Problem]:
    sold = sale.state == "hammered"
    wanted = {
        "state": sale.state,
        "price_minor": sale.price_minor if sold else None,
        "winner_code": sale.leader if sold else None,
        "ends_at": sale.ends_at,
        "extension_count": sale.extension_count,
        "bid_count": sale.bid_count,
    }
    for name, value in wanted.items():
        was = getattr(protocol.result, name)
        if was != value:
            yield Problem(None, "replay_result", f"expected {name} {_text(value)}, was {_text(was)}")


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def _said(answer: object) -> str:
    rejection = getattr(answer, "rejection", None)
    if rejection is not None:
        return str(rejection)
    return "too early" if isinstance(answer, NotYet) else "no such step from there"
