"""Who bids how much and when: a pure function of the profile, the page and a seeded generator."""

from __future__ import annotations

import random

from simulator.bidders.domain import LotView, Profile, Temper, Wish

WORTH_PERMILLE = (970, 1_450)
ENTERS_PERMILLE = (0, 850)
THINK_MS = (400, 6_000)
LATE_MS = (300, 9_000)
JUMP_PERMILLE = 150
"""How often a ladder bidder skips a few steps."""
TEMPERS = (Temper.LADDER, Temper.PROXY, Temper.LADDER, Temper.LATE)


def make_profiles(seed: int, count: int, start_minor: int, tick_minor: int) -> list[Profile]:
    """Return ``count`` bidders whose worths lie around the start price; the first reaches it, at once."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        permille = rng.randint(*WORTH_PERMILLE) if number else rng.randint(1_100, WORTH_PERMILLE[1])
        found.append(
            Profile(
                name=f"bidder-{number + 1:03d}",
                temper=TEMPERS[number % len(TEMPERS)],
                worth_minor=on_grid(start_minor * permille // 1000, tick_minor),
                enters_permille=rng.randint(*ENTERS_PERMILLE) if number else 0,
                think_ms=rng.randint(*THINK_MS),
                late_ms=rng.randint(*LATE_MS),
                seed=rng.getrandbits(32),
            )
        )
    return found


def on_grid(amount: int, tick_minor: int) -> int:
    """Return the amount rounded down to whole ticks."""
    return amount // tick_minor * tick_minor


def decide(profile: Profile, view: LotView, *, leading: bool, placed: int, rng: random.Random) -> Wish | None:
    """Return the bid to place now, or None. ``placed``: how many this bidder has placed."""
    least_minor = view.min_next_minor
    if view.state != "open" or leading or least_minor is None or least_minor > profile.worth_minor:
        return None
    if profile.temper is not Temper.LATE and view.passed_permille < profile.enters_permille:
        return None
    if profile.temper is Temper.LADDER:
        step_minor = max(view.tick_minor, least_minor - (view.price_minor or least_minor))
        jumps = rng.randint(1, 3) if rng.randint(1, 1000) <= JUMP_PERMILLE else 0
        wanted = min(profile.worth_minor, least_minor + jumps * step_minor)
        return Wish(max(least_minor, on_grid(wanted, view.tick_minor)), "exact")
    if placed or (profile.temper is Temper.LATE and view.left_ms > profile.late_ms):
        return None
    return Wish(profile.worth_minor, "proxy")
