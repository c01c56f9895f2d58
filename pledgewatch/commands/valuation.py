"""`pledgewatch valuation fit|backtest|mark`."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from core.errors import Misconfigured, Rejected
from core.settings import load_settings
from pledgewatch.commands.valuation_mark import mark

if TYPE_CHECKING:
    from core.db.pool import Connection

app = typer.Typer(no_args_is_help=True, help="Train, score and use the value model.")
app.command("mark")(mark)

_CHANNEL = typer.Option(None, "--channel", help="auction, retail, private or trade; default: every one.")
_CURRENCY = typer.Option(None, "--currency", help="CNY, USD, …; default: every one.")
_JSON = typer.Option(False, "--json", help="End with one JSON object on stdout.")


@app.command()
def fit(
    until: datetime | None = typer.Option(None, formats=["%Y-%m-%d"], help="Know no price after this day."),
    channel: str | None = _CHANNEL,
    currency: str | None = _CURRENCY,
    json: bool = _JSON,
) -> None:
    """Train one model per currency and channel that has prices; each becomes the one in use.

    A market with too few prices is named and passed over, unless it was the one asked for.

    Example: pledgewatch valuation fit --until 2015-05-24 --channel auction
    """
    import msgspec

    from core.clock import monotonic
    from pledgewatch.registry import open_registry
    from valuation.market.store import load_observations
    from valuation.model.fit import fit as train
    from valuation.model.store import save_model

    day = None if until is None else until.date()
    told: list[dict[str, Any]] = []
    passed: list[dict[str, Any]] = []
    with open_registry(load_settings(), name="valuation-fit") as (_, conn):
        for money, way in _markets(conn, currency, channel):
            began = monotonic()
            observations = load_observations(conn, currency=money, channel=way, until=day)
            conn.commit()  # a training takes minutes: hold no transaction open meanwhile
            try:
                if not observations.num_rows:
                    raise Rejected(f"Market {money} {way}: no price until {day}", code="too_few_observations")
                cut = max(observations["observed_at"].unique().to_pylist())
                model = train(observations, currency=money, channel=way, data_cut=cut)
            except Rejected as exc:
                print(f"{exc.message} [{exc.code}]", file=sys.stderr)
                passed.append({"currency": money, "channel": way, "reason": exc.message})
                continue
            new = save_model(conn, model)
            conn.commit()
            spent_s = round(monotonic() - began, 1)
            told.append(
                {
                    "version": model.version, "currency": money, "channel": way, "data_cut": model.data_cut,
                    "rows": model.rows, "new": new, "seconds": spent_s, "metrics": model.metrics,
                }
            )  # fmt: skip
            kept_out = model.metrics["kept_out"]["all"]
            print(
                f"{money} {way}: {model.version}: {model.rows:,} prices to {model.data_cut}, {spent_s} s;"
                f" of {kept_out['n']:,} kept out: median error {kept_out['mdape']:.1f} %,"
                f" within 15 % {kept_out['ppe15']:.0f} %",
                file=sys.stderr,
            )
    if json:
        print(msgspec.json.encode({"models": told, "passed_over": passed}).decode())
    if not told:
        raise typer.Exit(1)


@app.command()
def backtest(
    channel: str | None = _CHANNEL,
    currency: str | None = _CURRENCY,
    until: datetime | None = typer.Option(None, formats=["%Y-%m-%d"], help="Know no price after this day."),
    split: str = typer.Option("both", help="random, time, or both."),
    json: bool = _JSON,
) -> None:
    """Score the model on prices kept from it, per segment, beside simple ways to value; stores nothing.

    Example: pledgewatch valuation backtest --currency CNY --split random --json
    """
    import msgspec

    from pledgewatch.registry import open_registry
    from valuation.market.store import load_observations
    from valuation.model.backtest import SPLITS
    from valuation.model.backtest import backtest as run

    if split not in {*SPLITS, "both"}:
        raise typer.BadParameter(f"--split: expected random, time or both, was {split!r}")
    splits = SPLITS if split == "both" else (split,)
    day = None if until is None else until.date()
    reports: list[dict[str, Any]] = []
    with open_registry(load_settings(), name="valuation-backtest") as (_, conn):
        for money, way in _markets(conn, currency, channel):
            observations = load_observations(conn, currency=money, channel=way, until=day)
            conn.commit()  # a training takes minutes: hold no transaction open meanwhile
            try:
                reports += run(
                    observations,
                    currency=money,
                    channel=way,
                    splits=splits,
                    tell=lambda line: print(line, file=sys.stderr),
                )
            except Rejected as exc:
                print(f"{exc.message} [{exc.code}]", file=sys.stderr)
    for report in reports:
        _tell(report)
    if json:
        print(msgspec.json.encode({"reports": reports}).decode())
    if not reports:
        raise typer.Exit(1)


def _markets(conn: Connection, currency: str | None, channel: str | None) -> list[tuple[str, str]]:
    from valuation.model.store import markets

    there = markets(conn)
    asked = [
        (money, way)
        for money, way in there
        if (currency is None or money == currency) and (channel is None or way == channel)
    ]
    if not asked:
        known = ", ".join(f"{money} {way}" for money, way in there) or "none"
        raise Misconfigured(
            f"Market: expected prices of {currency or 'any currency'} {channel or 'any channel'},"
            f" was {known}; run `pledgewatch market import`",
            code="no_observations",
        )
    return asked


def _tell(report: dict[str, Any]) -> None:
    print(
        f"{report['currency']} {report['channel']}, {report['split']} split,"
        f" {report['from']} to {report['until']}:",
        file=sys.stderr,
    )
    lines = [("model", report["all"])]
    if report["with_guide"]:
        lines.append(("model with guide", report["with_guide"]))
    lines += [(f"  {name}", found) for name, found in report["segments"].items()]
    lines += list(report["baselines"].items())
    for name, found in lines:
        coverage = f", coverage {found['coverage']:.1f} %" if "coverage" in found else ""
        print(
            f"  {name}: n {found['n']:,}, median error {found['mdape']:.2f} %,"
            f" within 15 % {found['ppe15']:.1f} %, over by 15 % {found['over15']:.1f} %{coverage}",
            file=sys.stderr,
        )
