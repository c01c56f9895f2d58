"""The catalogue: each rule is a pure function in a file of its own.

In: one report or time mark, with the state around it. Out: findings, and the rule's next state.
Tables: none. Process: none. TAMPER_THEN_DARK comes last because it reads what the others found.
"""

from __future__ import annotations

from geofence.rules import (
    dark,
    device_offline,
    jamming,
    power_cut,
    region,
    removed,
    risk_place,
    tow,
    yard,
)
from geofence.rules.moment import Moment, Rule

RULES: tuple[Rule, ...] = (
    region.RULE,
    yard.RULE,
    risk_place.RULE,
    tow.RULE,
    power_cut.RULE,
    removed.RULE,
    jamming.RULE,
    device_offline.RULE,
    dark.RULE,
)
