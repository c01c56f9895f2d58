"""`pledgewatch value --in VEHICLES --out ESTIMATES.csv`."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

app = typer.Typer()


@app.command()
def value(
    source: Path = typer.Option(
        ..., "--in", exists=True, dir_okay=False, readable=True, help="CSV, CSV.GZ or Parquet."
    ),
    out: Path = typer.Option(..., "--out", help="Where the estimates go, as CSV."),
    currency: str = typer.Option(
        ..., "--currency", help="Of the model and of amounts in the file: CNY, USD, …"
    ),
    channel: str = typer.Option(..., "--channel", help="auction, retail (asking), private or trade."),
    mapping: str | None = typer.Option(
        None, "--mapping", help="What the columns mean: a TOML file or a shipped name; default: our names."
    ),
    as_of: str | None = typer.Option(
        None, "--as-of", help="Value as of a date, or of a column's date; default: the row's own, else today."
    ),
    guide_column: str | None = typer.Option(
        None, "--guide-column", help="A column with a guide price to take into account."
    ),
    json: bool = typer.Option(False, "--json", help="End with one JSON object on stdout."),
) -> None:
    """Value the vehicles of a file; rows keep their order, and what has no value says why.

    Adds estimate, low90, high90, lending_value (main units), thickness, segment, model_version, status and
    reason.

    Example: pledgewatch value --in fleet.csv --out values.csv --currency CNY --channel auction
    """
    import msgspec

    from core.clock import wall_now
    from core.errors import Misconfigured
    from core.settings import load_settings
    from pledgewatch.registry import open_registry
    from valuation.intake.mapping import load_mapping, plain_mapping
    from valuation.model.files import value_file
    from valuation.model.store import fitted_markets, newest_model

    read = plain_mapping() if mapping is None else load_mapping(mapping)
    with open_registry(load_settings(), name="value") as (_, conn):
        model = newest_model(conn, currency, channel)
        if model is None:
            there = ", ".join(f"{money} {way}" for money, way in fitted_markets(conn)) or "none"
            raise Misconfigured(
                f"Model: expected one for {currency} {channel}, was {there}; run `pledgewatch market import`,"
                " then `pledgewatch valuation fit`",
                code="no_model",
            )
    done = value_file(
        model,
        source,
        out,
        read,
        today=wall_now().date(),
        as_of=as_of,
        guide_column=guide_column,
        tell=lambda line: print(f"{source.name}: {line}", file=sys.stderr),
    )
    for reason, count in done.by_reason.items():
        print(f"{source.name}: {count:,} without a value: {reason}", file=sys.stderr)
    if json:
        told = {
            "rows": done.rows,
            "valued": done.valued,
            "by_status": done.by_status,
            "by_reason": done.by_reason,
            "model_version": model.version,
            "data_cut": model.data_cut,
        }
        print(msgspec.json.encode(told).decode())
    else:
        print(f"{done.valued:,} of {done.rows:,} valued with {model.version} (prices to {model.data_cut})")
