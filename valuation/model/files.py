"""Value the vehicles of a file: its columns go out as they came, with what we say of each beside them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from core.domain.money import exponent
from core.errors import Misconfigured, Rejected
from valuation.frame import OURS
from valuation.intake.dates import read_dates
from valuation.intake.files import read_batches
from valuation.intake.normalise import normalise
from valuation.model.valuer import NOT_VALUED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from valuation.intake.mapping import Mapping
    from valuation.model.rows import Ints, Texts
    from valuation.model.valuer import Model

ADDED = (
    "estimate",
    "low90",
    "high90",
    "lending_value",
    "thickness",
    "segment",
    "model_version",
    "status",
    "reason",
)


@dataclass(frozen=True, slots=True)
class Valued:
    """What came of a file."""

    rows: int
    valued: int
    by_status: dict[str, int]
    by_reason: dict[str, int]


def value_file(
    model: Model,
    source: Path,
    target: Path,
    mapping: Mapping,
    *,
    today: date,
    as_of: str | None = None,
    guide_column: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Valued:
    """Write ``target`` (CSV) with the rows of ``source`` in their order and the columns ADDED.

    The day of a value is ``as_of`` (a date, or a column of the file), else the day the mapping gives the row,
    else ``today``.

    Raises:
        Misconfigured: the mapping or the options do not fit the file or the model.
        Rejected: the file cannot be read, or ``target`` not be written.
    """
    mapping = _of_currency(mapping, model.currency)
    if guide_column is not None:
        mapping = mapping.with_column(guide_column, "guide_price")
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    done = 0
    writer = None
    try:
        for batch in read_batches(source):
            if writer is None:
                _check_header(batch.column_names, mapping, as_of, guide_column, source.name)
            out, status, reason = _value_batch(
                model, batch, mapping, today=today, as_of=as_of, use_guide=guide_column is not None
            )
            if writer is None:
                writer = pacsv.CSVWriter(target, out.schema)
            writer.write_table(out)
            statuses.update(status.tolist())
            reasons.update(one for one in reason.tolist() if one)
            done += batch.num_rows
            tell(f"{done:,} vehicles")
    except OSError as exc:
        raise Rejected(f"Expected to write {target}, cannot: {exc.strerror}", code="cannot_write") from exc
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise Rejected(f"{source.name}: expected at least one row, was none", code="empty_file")
    return Valued(
        done, done - statuses[NOT_VALUED], dict(statuses.most_common()), dict(reasons.most_common())
    )


def _value_batch(
    model: Model, batch: pa.Table, mapping: Mapping, *, today: date, as_of: str | None, use_guide: bool
) -> tuple[pa.Table, Texts, Texts]:
    normalised = normalise(batch, mapping)
    vehicles = normalised.table
    days = _days(batch, vehicles, mapping, as_of, today)
    said = model.estimate(vehicles, days, use_guide=use_guide)
    reason: Texts = np.array(
        [fault or own for fault, own in zip(normalised.faults.to_pylist(), said.reason, strict=True)], object
    )
    none = np.array([why is not None for why in reason], np.bool_)
    status: Texts = said.status.copy()
    status[none] = NOT_VALUED
    places = exponent(model.currency)
    added = {
        "estimate": _major(said.estimate_minor, none, places),
        "low90": _major(said.low_minor, none, places),
        "high90": _major(said.high_minor, none, places),
        "lending_value": _major(said.lending_minor, none, places),
        "thickness": pa.array(
            [None if gone else f"{much:.1f}" for gone, much in zip(none, said.thickness, strict=True)],
            pa.string(),
        ),
        "segment": pa.array(
            [None if gone else one for gone, one in zip(none, said.segment, strict=True)], pa.string()
        ),
        "model_version": pa.array([model.version] * batch.num_rows, pa.string()),
        "status": pa.array(status, pa.string()),
        "reason": pa.array(reason, pa.string()),
    }
    out = batch
    for name in ADDED:
        out = out.append_column(name, added[name])
    return out, status, reason


def _days(batch: pa.Table, vehicles: pa.Table, mapping: Mapping, as_of: str | None, today: date) -> Any:
    """Return a day per row; NaT where the column asked for says none."""
    fixed = None if as_of is None else _date_of(as_of)
    if fixed is not None:
        return np.full(batch.num_rows, np.datetime64(fixed, "D"))
    if as_of is not None:
        column = batch[as_of].combine_chunks()
        form = next((mapping.dates[one] for one in _names_of(as_of, mapping) if one in mapping.dates), None)
        days, _ = read_dates(column, form)
        return np.asarray(days.to_numpy(zero_copy_only=False), dtype="datetime64[D]")
    days = np.asarray(vehicles["observed_at"].to_numpy(), dtype="datetime64[D]")
    return np.where(np.isnat(days), np.datetime64(today, "D"), days)


def _names_of(column: str, mapping: Mapping) -> tuple[str, ...]:
    return (column, *mapping.columns.get(column, ()))


def _date_of(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _major(amounts: Ints, none: Any, places: int) -> pa.Array:
    """Return minor units as exact decimal text of the main unit; null where there is no value."""
    unit = 10**places
    whole = [
        None if gone else f"{amount // unit}.{amount % unit:0{places}d}" if places else str(amount)
        for gone, amount in zip(none, amounts.tolist(), strict=True)
    ]
    return pa.array(whole, pa.string())


def _of_currency(mapping: Mapping, currency: str) -> Mapping:
    told = mapping.constants.get("currency")
    if told is not None and told != currency:
        raise Misconfigured(
            f"Mapping {mapping.name}: expected amounts in {currency}, was {told}", code="currency_mismatch"
        )
    columns = {
        their: tuple(one for one in ours if one != "currency") for their, ours in mapping.columns.items()
    }
    return replace(mapping, columns=columns, constants={**mapping.constants, "currency": currency})


def _check_header(
    header: list[str], mapping: Mapping, as_of: str | None, guide_column: str | None, file: str
) -> None:
    for option, name in (("--as-of", as_of), ("--guide-column", guide_column)):
        if name is not None and name not in header and (option != "--as-of" or _date_of(name) is None):
            kinds = "a date (2026-01-31) or a column" if option == "--as-of" else "a column"
            raise Misconfigured(
                f"{option}: expected {kinds} of {file} ({', '.join(header)}), was {name!r}", code="no_column"
            )
    taken = [name for name in ADDED if name in header]
    if taken:
        raise Misconfigured(
            f"{file}: expected no column named {', '.join(taken)}: the answer goes there", code="column_taken"
        )
    plain = {name.strip().lower() for name in header}
    found = {
        one for their, ours in mapping.columns.items() if their.strip().lower() in plain for one in ours
    } | set(mapping.constants)
    reads_title = mapping.title_language is not None and "title" in found
    if "make" not in found and not reads_title:
        raise Misconfigured(
            f"{file}: expected a column that says the make; give --mapping, or name the columns as we do"
            f" ({', '.join(list(OURS)[:8])}, …). It has: {', '.join(header)}",
            code="no_make_column",
        )
