"""Train one model for one market: (currency, channel).

Rows are put into an order of their content first, and every fold and choice is a function of content: the
same observations give the same model, in whatever order they come.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn

from core.errors import Rejected
from valuation.frame import VEHICLE_SCHEMA
from valuation.market.fingerprints import of_rows
from valuation.model.comparables import Past
from valuation.model.degrade import degraded_copies, share_of
from valuation.model.interval import Constants
from valuation.model.rows import Floats, Ints, Rows, Vocabulary
from valuation.model.scores import scores
from valuation.model.stage import Raw, Stage, train_stage
from valuation.model.valuer import Model, Reference

if TYPE_CHECKING:
    from datetime import date

    import pyarrow as pa

LEAST_ROWS = 30
RECENCY_DAYS = 365.0
"""A sale a year older than the newest weighs 1/e. On half a year of sales faster decay did worse."""
FEW, MANY = 8_000, 100_000
"""Below FEW every row is kept out of one training; then a tenth of them is, of MANY a twentieth."""
_SALT = 103


def fit(observations: pa.Table, *, currency: str, channel: str, data_cut: date, seed: int = 7) -> Model:
    """Return a model of the observations (OBSERVATION_SCHEMA, one currency and channel, up to ``data_cut``).

    Raises:
        Rejected: fewer than LEAST_ROWS rows can be used.
    """
    columns = [*VEHICLE_SCHEMA.names, "price_minor", "observed_at"]
    present = [name for name in columns if name in observations.column_names]
    prints = of_rows(observations.select(present))
    order = np.argsort(prints, kind="stable")
    ids = _ids(observations)[order]
    table, prints = observations.select(present).take(order), prints[order]
    vocabulary = Vocabulary.of(table)
    day = np.asarray(table["observed_at"].to_numpy(), dtype="datetime64[D]")
    rows, reason = vocabulary.rows(table, day)
    price_minor = np.asarray(table["price_minor"].to_numpy(), dtype=np.int64)
    usable = np.flatnonzero((reason == None) & (price_minor > 0))  # noqa: E711 - elementwise on an object array
    if len(usable) < LEAST_ROWS:
        raise Rejected(
            f"Market {currency} {channel}: expected {LEAST_ROWS} or more usable prices, was {len(usable)}",
            code="too_few_observations",
            usable=len(usable),
        )
    del table  # its texts are the larger part of the memory; the rows hold what is needed of them
    rows, prints, price_minor = rows.take(usable), prints[usable], price_minor[usable]
    log_price = np.log(price_minor.astype(np.float64))
    weight = np.exp((rows.day - rows.day.max()) / RECENCY_DAYS)
    kept_out = _KeptOut()
    stage = _calibrate(rows, log_price, weight, prints, vocabulary.sizes, seed, kept_out)
    raw, graded, truth, original = kept_out.joined()
    # Then the rows kept out teach too: trees and level where rows are few, else the level alone.
    if rows.size < FEW:
        stage = train_stage(rows, log_price, weight, prints, vocabulary.sizes, seed)
    else:
        stage = stage.with_level_of(rows, log_price, weight, vocabulary.sizes)
    constants = Constants.calibrate(raw, graded, truth)
    guided_constants = kept_out.guided_constants()
    metrics = _metrics(raw, graded, truth, original, constants)
    fitted = stage.predict(rows).spread.middle
    has = [~np.isnan(rows.numbers[name]) for name in ("odometer_km", "condition")]
    return Model(
        version=_version(prints, currency, channel, seed),
        currency=currency,
        channel=channel,
        data_cut=data_cut,
        rows=rows.size,
        metrics=metrics,
        vocabulary=vocabulary,
        stage=stage,
        constants=constants,
        guided_constants=guided_constants,
        reference=Reference(
            age_y=float(np.median(rows.age_y)),
            condition=float(np.median(rows.numbers["condition"][has[1]])) if has[1].any() else float("nan"),
            knows_odometer=bool(has[0].any()),
        ),
        past=Past.of(rows, price_minor, fitted, ids[usable]),
    )


class _KeptOut:
    """Collects what stages said about rows that they were not trained on."""

    def __init__(self) -> None:
        self._parts: list[tuple[Raw, Any, Floats, Any]] = []
        self._guided: list[tuple[Raw, Any, Floats]] = []

    def add(self, stage: Stage, rows: Rows, log_price: Floats, prints: Any) -> None:
        copies = degraded_copies(rows, prints)
        everything = Rows.concat([rows, copies.rows])
        truth = log_price[np.concatenate([np.arange(rows.size), copies.origin])]
        graded = ~np.isnan(everything.numbers["condition"])
        original = np.arange(everything.size) < rows.size
        self._parts.append((stage.predict(everything), graded, truth, original))
        paired = np.flatnonzero(~np.isnan(rows.numbers["log_guide"]))
        guided = stage.predict_guided(rows.take(paired)) if len(paired) else None
        if guided is not None:
            self._guided.append((guided, graded[paired], log_price[paired]))

    def joined(self) -> tuple[Raw, Any, Floats, Any]:
        raws, graded, truth, original = zip(*self._parts, strict=True)
        return Raw.concat(raws), np.concatenate(graded), np.concatenate(truth), np.concatenate(original)

    def guided_constants(self) -> Constants | None:
        if not self._guided:
            return None
        raws, graded, truth = zip(*self._guided, strict=True)
        return Constants.calibrate(Raw.concat(raws), np.concatenate(graded), np.concatenate(truth))


def _calibrate(
    rows: Rows,
    log_price: Floats,
    weight: Floats,
    prints: Any,
    sizes: dict[str, int],
    seed: int,
    kept_out: _KeptOut,
) -> Stage:
    """Train without some rows, value them, and keep what was said; return the last training."""
    folds, used = (5, 5) if rows.size < FEW else (10, 1) if rows.size < MANY else (20, 1)
    fold = (share_of(prints, _SALT) * folds).astype(np.int64)
    stage = None
    for number in range(used):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(outside) or not len(inside):
            continue
        stage = train_stage(rows.take(inside), log_price[inside], weight[inside], prints[inside], sizes, seed)
        kept_out.add(stage, rows.take(outside), log_price[outside], prints[outside])
    if stage is None:
        raise Rejected(
            "Market: expected observations that differ, was one and the same many times",
            code="too_few_observations",
        )
    return stage


def _metrics(raw: Raw, graded: Any, truth: Floats, original: Any, constants: Constants) -> dict[str, Any]:
    """Score the rows kept out, as they came, by route."""
    edges = constants.apply(raw, graded)
    found: dict[str, Any] = {}
    for name, mask in (
        ("all", original),
        ("with_odometer", original & raw.has_odometer),
        ("without_odometer", ~raw.has_odometer & (raw.model_rows > 0)),
    ):
        if mask.any():
            found[name] = scores(
                np.exp(raw.spread.middle[mask]),
                np.exp(truth[mask]),
                np.exp(edges.low[mask]),
                np.exp(edges.high[mask]),
            )
    return {"kept_out": found}


def _version(prints: Any, currency: str, channel: str, seed: int) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(prints).tobytes())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())  # another way to fit is another model
    digest.update(f"{sklearn.__version__}|{currency}|{channel}|{seed}".encode())
    return f"{currency.lower()}-{channel}-{digest.hexdigest()[:16]}"


def _ids(observations: pa.Table) -> Ints:
    if "observation_id" not in observations.column_names:
        return np.full(observations.num_rows, -1, np.int64)
    return np.asarray(observations["observation_id"].to_numpy(), dtype=np.int64)
