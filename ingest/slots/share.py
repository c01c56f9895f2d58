"""How many slots a process should serve, so that all that are there have as many as the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def fair_share(owner: str, present: Sequence[str], slots: int) -> int:
    """Return the number of slots for ``owner``; what does not divide goes to those longest there.

    Shares over ``present`` add up to ``slots``, so one that has too many knows somebody has too few.
    """
    if owner not in present:
        return 0
    share, rest = divmod(slots, len(present))
    return share + (present.index(owner) < rest)


class Allowance:
    """A share that shrinks at once and grows after a while: a colleague may just be restarting."""

    def __init__(self, grow_after_s: float) -> None:
        self._grow_after_s = grow_after_s
        self._wanted_since_s: float | None = None
        self.slots = 0

    def update(self, share: int, now_s: float) -> int:
        """Return how many slots may be held now. The first one never waits."""
        if share <= self.slots:
            self.slots, self._wanted_since_s = share, None
            return self.slots
        self.slots = max(self.slots, 1)
        if share > self.slots:
            if self._wanted_since_s is None:
                self._wanted_since_s = now_s
            elif now_s >= self._wanted_since_s + self._grow_after_s:
                self.slots, self._wanted_since_s = share, None
        return self.slots
