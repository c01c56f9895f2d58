"""Check a protocol offline: signature, chain, commitments, replay. Needs the file and the public key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from auction.protocol.document import Body, Protocol, read_body, read_protocol
from auction.protocol.replay import BID_KINDS, Problem, replay
from auction.protocol.signing import key_id, signature_holds
from core.errors import Rejected

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MOST_PROBLEMS = 50
"""One forged event can make thousands of others wrong; nobody reads more."""
_HEX_32 = re.compile(r"[0-9a-f]{64}")
_HEX_16 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``problems`` is empty when the protocol holds in every respect that can be checked."""

    problems: tuple[Problem, ...]
    lot_id: str = ""
    view: str = ""
    state: str = ""
    price_minor: int | None = None
    winner_code: str | None = None
    events: int = 0
    bids: int = 0
    hidden_maxima: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict for JSON."""
        return {
            "ok": self.good,
            "lot_id": self.lot_id,
            "view": self.view,
            "state": self.state,
            "price_minor": self.price_minor,
            "winner_code": self.winner_code,
            "events": self.events,
            "bids": self.bids,
            "hidden_maxima": self.hidden_maxima,
            "problems": [
                {"seq": problem.seq, "code": problem.code, "message": problem.message}
                for problem in self.problems
            ],
        }


def verify(content: bytes, key: Ed25519PublicKey) -> Verdict:
    """Check the bytes of a protocol against a public key; names what is wrong, at most fifty things."""
    try:
        document, protocol = read_protocol(content)
    except Rejected as exc:
        return Verdict((Problem(None, exc.code, exc.message),))
    problems = tuple(islice(_problems(document, protocol, key), MOST_PROBLEMS))
    return Verdict(
        problems,
        lot_id=protocol.lot.lot_id,
        view=protocol.view,
        state=protocol.result.state,
        price_minor=protocol.result.price_minor,
        winner_code=protocol.result.winner_code,
        events=len(protocol.events),
        bids=len(protocol.openings),
        hidden_maxima=sum(opening.max_minor is None for opening in protocol.openings),
    )


def _problems(document: dict[str, Any], protocol: Protocol, key: Ed25519PublicKey) -> Iterator[Problem]:
    if protocol.key_id != key_id(key):
        yield Problem(None, "other_key", f"was signed by key {protocol.key_id[:16]}, not by this one")
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    if not signature_holds(key, unsigned, protocol.signature):
        yield Problem(None, "bad_signature", "the signature does not belong to this content and key")
    faults, bodies = check_chain(protocol)
    yield from faults
    if len(bodies) != len(protocol.events):
        return  # an event that cannot be read cannot be told again
    yield from _hammer_time(protocol, bodies)
    try:
        yield from _commitments(protocol, bodies)
        yield from replay(protocol, bodies)
    except (ArithmeticError, LookupError, TypeError, ValueError) as exc:
        # Times at the end of the calendar, a code that is a list: no sale has them, a forgery may.
        yield Problem(None, "replay_impossible", f"it cannot be told again: {exc}")


def _hammer_time(protocol: Protocol, bodies: Sequence[Body]) -> Iterator[Problem]:
    fell = [body.decided_at for body in bodies if body.kind == "lot.hammered"]
    wanted = fell[-1] if fell else None
    if protocol.result.hammered_at != wanted:
        yield Problem(
            None, "replay_result", f"expected hammered_at {wanted}, was {protocol.result.hammered_at}"
        )


def check_chain(protocol: Protocol) -> tuple[list[Problem], list[Body]]:
    """Return what is wrong with numbers and hashes, and the events that can be read."""
    faults: list[Problem] = []
    bodies: list[Body] = []
    before = b""
    for number, link in enumerate(protocol.events, start=1):
        if link.seq != number:
            faults.append(Problem(link.seq, "seq_gap", f"expected number {number}, was {link.seq}"))
        digest = hashlib.sha256(before + link.body.encode()).digest()
        if digest.hex() != link.hash:
            faults.append(
                Problem(link.seq, "hash_broken", "the hash is not that of the one before and the body")
            )
        # Go on with what is written: one broken link is one problem, not one for each that follows.
        before = bytes.fromhex(link.hash) if _HEX_32.fullmatch(link.hash) else digest
        try:
            body = read_body(link.body)
        except Rejected as exc:
            faults.append(Problem(link.seq, exc.code, exc.message))
            continue
        bodies.append(body)
        if (body.lot, body.seq) != (protocol.lot.lot_id, link.seq):
            faults.append(
                Problem(link.seq, "foreign_event", f"belongs to event {body.seq} of lot {body.lot}")
            )
    last = (protocol.events[-1].seq, protocol.events[-1].hash) if protocol.events else (0, "")
    if last != (protocol.head.seq, protocol.head.hash):
        faults.append(
            Problem(None, "head_differs", f"expected the chain to end at {protocol.head.seq}, was {last[0]}")
        )
    return faults, bodies


def _commitments(protocol: Protocol, bodies: Sequence[Body]) -> Iterator[Problem]:
    promised = {body.seq: body for body in bodies if body.kind in BID_KINDS}
    opened = [opening.seq for opening in protocol.openings]
    if opened != sorted(promised):
        yield Problem(None, "openings_differ", "expected one opening for each bid, in order")
    for opening in protocol.openings:
        body = promised.get(opening.seq)
        if body is None:
            continue
        if opening.max_minor is None or opening.salt is None:
            yield from _may_hide(
                protocol, body, hidden_whole=opening.max_minor is None and opening.salt is None
            )
            continue
        salt = bytes.fromhex(opening.salt) if _HEX_16.fullmatch(opening.salt) else b""
        digest = hashlib.sha256(salt + str(opening.max_minor).encode("ascii")).hexdigest()
        if body.payload.get("commitment") != digest:
            yield Problem(opening.seq, "commitment_broken", "maximum and salt are not what was committed to")


def _may_hide(protocol: Protocol, body: Body, *, hidden_whole: bool) -> Iterator[Problem]:
    if not hidden_whole:
        yield Problem(body.seq, "half_opened", "expected maximum and salt, or neither")
    if protocol.view == "full":
        yield Problem(body.seq, "not_opened", "a full protocol opens every bid")
    elif protocol.result.winner_code not in {None, body.payload.get("code")}:
        yield Problem(body.seq, "not_opened", "only the buyer's own maximum above the price may stay closed")
