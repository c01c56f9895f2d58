"""The outcome log: one row per bid, so that a check can ask for every acknowledged one later."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from simulator.bidders.domain import Outcome

COLUMNS = (
    "bidder", "key", "max_minor", "mode", "sent_ms", "answered_ms", "attempts", "status", "code",
    "bid_id", "seq", "price_minor",
)  # fmt: skip


def write_outcomes(path: Path, outcomes: Iterable[Outcome]) -> int:
    """Write the log, oldest first; returns the number of acknowledged bids."""
    acknowledged = 0
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for outcome in sorted(outcomes, key=lambda one: one.sent_ms):
            acknowledged += outcome.acknowledged
            writer.writerow(_row(outcome))
    return acknowledged


def _row(outcome: Outcome) -> tuple[Any, ...]:
    said = msgspec.json.decode(outcome.body) if outcome.acknowledged else {}
    return (
        outcome.bidder, outcome.key, outcome.wish.max_minor, outcome.wish.mode, outcome.sent_ms,
        outcome.answered_ms, outcome.attempts, outcome.status, outcome.code,
        said.get("bid_id", ""), said.get("seq", ""), said.get("price", {}).get("amount_minor", ""),
    )  # fmt: skip
