"""Which rules have to look at an input: chosen once for each combination of signals and open slots."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from geofence.rules.moment import Judge, Rule

_SLOTS = 8
Chosen = tuple[tuple[str, Judge, int], ...]
"""Rules in order: the slot, the function, the bit of the slot in ``open``."""


class Roster:
    """Some rules of the catalogue, in its order. ``open`` has a bit for each slot that holds something."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules: tuple[Rule, ...] = tuple(rules)
        self._held = attrgetter(*(rule.slot for rule in self.rules))
        self._known: dict[int, Chosen] = {}

    def open(self, holder: Any) -> int:
        """Return which slots of a state hold something."""
        bits, bit = 0, 1
        for held in self._held(holder):
            if held:
                bits |= bit
            bit <<= 1
        return bits

    def chosen(self, signals: int, open_: int) -> Chosen:
        """Return the rules that these signals concern; all others would change and find nothing."""
        key = signals << _SLOTS | open_
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = tuple(
                (rule.slot, rule.judge, 1 << place)
                for place, rule in enumerate(self.rules)
                if signals & (rule.follows if open_ >> place & 1 else rule.wakes)
            )
        return known
