"""How good the model would have been: trained on a part of the prices, asked about the rest, beside peers.

Split `random`: 15 % of the rows by a hash of their content. Split `time`: the sales of the last 15 % of the
days, valued by a model that knows what came before; left out where all prices carry one date.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from core.errors import Rejected
from valuation.baselines import BASELINES
from valuation.frame import VEHICLE_SCHEMA
from valuation.market.fingerprints import of_rows
from valuation.model.degrade import share_of
from valuation.model.fit import fit
from valuation.model.scores import scores

if TYPE_CHECKING:
    from collections.abc import Callable

    from valuation.model.valuer import Estimates, Model

SPLITS = ("random", "time")
HELD_OUT_SHARE = 0.15
LEAST_DAYS = 14
LEAST_HELD_OUT = 10
LEAST_IN_SEGMENT = 30
_SALT = 211


def backtest(
    observations: pa.Table,
    *,
    currency: str,
    channel: str,
    splits: tuple[str, ...] = SPLITS,
    tell: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Return one report per split that can be made.

    Raises:
        Rejected: too few observations for any.
    """
    reports = []
    for split in splits:
        held = _held_out(observations, split)
        if held is None or int(held.sum()) < LEAST_HELD_OUT:
            tell(f"{currency} {channel}: no {split} split: too few rows or days")
            continue
        known, asked = observations.filter(pa.array(~held)), observations.filter(pa.array(held))
        tell(f"{currency} {channel}: {split} split: {known.num_rows:,} known, {asked.num_rows:,} asked")
        model = fit(known, currency=currency, channel=channel, data_cut=_last_day(known))
        reports.append(
            {"currency": currency, "channel": channel, "split": split, **_report(model, known, asked)}
        )
    if not reports:
        raise Rejected(
            f"Back-test {currency} {channel}: expected enough prices to keep {LEAST_HELD_OUT} out,"
            f" was {observations.num_rows} in all",
            code="too_few_observations",
        )
    return reports


def _held_out(observations: pa.Table, split: str) -> Any:
    if split == "random":
        columns = [
            name for name in (*VEHICLE_SCHEMA.names, "price_minor") if name in observations.column_names
        ]
        return share_of(of_rows(observations.select(columns)), _SALT) < HELD_OUT_SHARE
    days = np.asarray(observations["observed_at"].to_numpy(), dtype="datetime64[D]").astype(np.int64)
    span = int(days.max() - days.min())
    if span < LEAST_DAYS:
        return None
    return days > days.max() - max(1, round(HELD_OUT_SHARE * span))


def _report(model: Model, known: pa.Table, asked: pa.Table) -> dict[str, Any]:
    days = np.asarray(asked["observed_at"].to_numpy(), dtype="datetime64[D]")
    said = model.estimate(asked, days)
    price = np.asarray(asked["price_minor"].to_numpy(), dtype=np.float64)
    valued = said.estimate_minor >= 0
    segments = {
        str(name): _scores(said, price, valued & (said.segment == name))
        for name in sorted(set(said.segment[valued].tolist()))
        if int((valued & (said.segment == name)).sum()) >= LEAST_IN_SEGMENT
    }
    peers = {}
    for baseline in BASELINES:
        guess = baseline.value(model, known, asked, days)
        both = valued & ~np.isnan(guess)
        if int(both.sum()) >= LEAST_HELD_OUT:
            # Beside what the model says of the very same rows: a peer that answers less is not better for it.
            peers[baseline.name] = {**scores(guess[both], price[both]), "ours": _scores(said, price, both)}
    guided = {}
    paired = asked["guide_price_minor"].is_valid().to_numpy() if model.stage.guided is not None else ~valued
    if int((paired & valued).sum()) >= LEAST_HELD_OUT:
        guided = _scores(model.estimate(asked, days, use_guide=True), price, paired & valued)
    return {
        "from": str(days.min()),
        "until": str(days.max()),
        "known": known.num_rows,
        "not_valued": int((~valued).sum()),
        "all": _scores(said, price, valued),
        "with_guide": guided,
        "segments": segments,
        "baselines": peers,
    }


def _scores(said: Estimates, price: Any, mask: Any) -> dict[str, float]:
    return scores(
        said.estimate_minor[mask].astype(np.float64),
        price[mask],
        said.low_minor[mask].astype(np.float64),
        said.high_minor[mask].astype(np.float64),
    )


def _last_day(observations: pa.Table) -> date:
    last: date = max(observations["observed_at"].unique().to_pylist())
    return last
