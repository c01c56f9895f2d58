"""From facts to a value at auction level, with everything that lowers one's trust in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from valuation.vehicles.domain import STALE_AFTER, THIN_BELOW, WIDE_AT, Facts, Status, Valued
from valuation.vehicles.explain import comparables_of, waterfall_of
from valuation.vehicles.table import inputs_of, table_of

if TYPE_CHECKING:
    from datetime import date

    from core.db.pool import Connection
    from valuation.vehicles.models import Chosen, Models

NO_MODEL = "no_model"
TOLD_BY_MODEL = frozenset({"model_after_as_of", "unknown_make", "unknown_model"})
"""Notes of the model that people should doubt a figure for; the others are said here, from the facts."""


def value(
    conn: Connection,
    models: Models,
    facts: Sequence[Facts],
    currency: str,
    as_of: date,
    *,
    earlier: Mapping[str, str] | None = None,
    explain: bool = False,
) -> list[Valued]:
    """Value vehicles in one currency, in the given order.

    ``earlier``: vehicle id -> version of the model of its last mark; where that is another one it is asked
    too, so that the step between the two can be told from the news of the day.
    """
    chosen = models.newest(conn, currency)
    if chosen is None:
        return [_judged(Valued(one, as_of, Status.NOT_VALUED, currency, reason=NO_MODEL)) for one in facts]
    valued = _by_model(chosen, facts, currency, as_of, explain=explain)
    others: dict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(facts):
        version = (earlier or {}).get(one.vehicle_id, chosen.model.version)
        if version != chosen.model.version and valued[place].estimate_minor is not None:
            others[version].append(place)
    for version, places in others.items():
        old = models.of_version(conn, version)
        if old is None:
            continue
        said = _by_model(old, [facts[place] for place in places], currency, as_of, explain=False)
        for place, before in zip(places, said, strict=True):
            valued[place] = replace(valued[place], previous_model_minor=before.estimate_minor)
    return valued


def _by_model(
    chosen: Chosen, facts: Sequence[Facts], currency: str, as_of: date, *, explain: bool
) -> list[Valued]:
    model, table = chosen.model, table_of(facts)
    said = model.estimate(table, np.full(len(facts), np.datetime64(as_of, "D")))
    inputs = inputs_of(table)
    valued = []
    for place, one in enumerate(facts):
        raw_minor = int(said.estimate_minor[place])
        made = Valued(
            one, as_of, Status.NOT_VALUED, currency, reason=said.reason[place] or "",
            model_version=model.version, channel=chosen.channel, channel_permille=chosen.permille,
            inputs=inputs[place],
            cautions=tuple(note for note in said.status[place].split(";") if note in TOLD_BY_MODEL),
        )  # fmt: skip
        if raw_minor > 0:
            made = replace(
                made,
                status=Status.VALUED,
                estimate_minor=_at_auction(raw_minor, chosen),
                low_minor=_at_auction(int(said.low_minor[place]), chosen),
                high_minor=_at_auction(int(said.high_minor[place]), chosen),
                lending_minor=_at_auction(int(said.lending_minor[place]), chosen),
                thickness=round(float(said.thickness[place]), 2),
                segment=str(said.segment[place]),
            )
            if explain:
                row = table.slice(place, 1)
                made = replace(
                    made,
                    waterfall=waterfall_of(
                        model, row, as_of, chosen.permille, _at_auction(raw_minor, chosen)
                    ),
                    comparables=comparables_of(model, row, as_of),
                )
        valued.append(_judged(made))
    return valued


def _at_auction(minor: int, chosen: Chosen) -> int:
    return minor if chosen.permille == 1000 else max(1, minor * chosen.permille // 1000)


def _judged(made: Valued) -> Valued:
    """Add the cautions, and the status that the worst of them gives."""
    odometer, figure = made.facts.odometer, made.facts.appraisal
    cautions = list(made.cautions)
    status = made.status
    if made.channel_permille not in (None, 1000):
        cautions.append("channel_factor")
    if odometer is None:
        cautions.append("no_odometer")
    elif made.facts.known_at - odometer.at > STALE_AFTER:
        cautions.append("stale_odometer")
        status = _worse(status, Status.STALE)
    if odometer is not None and odometer.suspected:
        cautions.append("odometer_tampering_suspected")
    if made.facts.condition is None:
        cautions.append("no_condition")
    if made.estimate_minor and made.low_minor is not None and made.high_minor is not None:
        if (made.high_minor - made.low_minor) / made.estimate_minor > WIDE_AT:
            cautions.append("wide_interval")
            status = _worse(status, Status.WIDE)
        if made.thickness is not None and made.thickness < THIN_BELOW:
            cautions.append("thin_market")
            status = _worse(status, Status.THIN)
    if made.appraisal_in_force is not None:
        cautions.append("manual_appraisal_in_force")
    elif figure is not None:
        cautions.append("appraisal_expired")
    if made.facts.open_appraisal_id is not None:
        status = Status.NEEDS_MANUAL_APPRAISAL
    return replace(made, status=status, cautions=tuple(cautions))


_ORDER = list(Status)


def _worse(one: Status, other: Status) -> Status:
    return max(one, other, key=_ORDER.index)
