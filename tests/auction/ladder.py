"""A slow oracle of the English sale with maxima: the clock rises tick by tick, nobody computes anything."""

from __future__ import annotations

from collections.abc import Sequence

from auction.domain import Step


def increment(steps: Sequence[Step], price_minor: int) -> int:
    """The increment of the last tier that begins at or below the price, found from the front."""
    found = steps[0].step_minor
    for step in steps:
        if step.from_minor <= price_minor:
            found = step.step_minor
    return found


def duel(
    steps: Sequence[Step], tick_minor: int, price_minor: int, leader_max_minor: int, offer_minor: int
) -> tuple[bool, int]:
    """Whether the newcomer wins against the leader, and at what price, both answering by proxy.

    The price climbs by single ticks while both still stand at it. Where the newcomer drops out (or both do
    at once: the earlier stays), the leader answers what was offered last; where the leader drops out, the
    newcomer answers the leader's last. An answer is one increment above, climbed to tick by tick, or as far
    as the maximum of whoever answers goes.
    """
    level_minor = price_minor
    while level_minor + tick_minor <= min(leader_max_minor, offer_minor):
        level_minor += tick_minor
    newcomer_wins = level_minor + tick_minor <= offer_minor
    limit_minor = offer_minor if newcomer_wins else leader_max_minor
    wanted_minor = level_minor + increment(steps, level_minor)
    answer_minor = level_minor
    while answer_minor < wanted_minor and answer_minor + tick_minor <= limit_minor:
        answer_minor += tick_minor
    return newcomer_wins, answer_minor
