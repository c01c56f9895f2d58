"""`pledgewatch bidders`: invented people who bid on a lot over HTTP."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import typer

app = typer.Typer(no_args_is_help=True, help="Let invented people bid on a lot.")


@app.callback()
def _root() -> None:
    """Let invented people bid on a lot."""


@app.command()
def run(
    lot: UUID = typer.Option(..., "--lot", help="The lot's id; it must be published or open."),
    count: int = typer.Option(8, "--count", min=1, max=500, help="How many bidders."),
    seed: int = typer.Option(7, "--seed", help="Same seed, same people."),
    url: str = typer.Option("", "--url", help="The API; empty: the one of this machine."),
    log: Path | None = typer.Option(None, "--log", dir_okay=False, help="CSV of every bid and its answer."),
    json: bool = typer.Option(False, "--json", help="The last line of stdout is one JSON object."),
) -> None:
    """Register invented bidders, pay their deposits and let them bid until the lot is decided.

    They are made in the deployment's database; everything after that goes through its API. A bid without an
    answer is sent again with the same Idempotency-Key.

    Example: pledgewatch bidders run --lot 0b1c… --count 12 --log bids.csv
    """
    import msgspec

    from core.settings import load_settings
    from pledgewatch.bidding import Request, bid_until_the_end, local_url, make_guests
    from pledgewatch.registry import open_registry

    settings = load_settings()
    if settings.env == "production":
        raise typer.BadParameter("invented bidders are refused when PLEDGEWATCH_ENV=production")
    request = Request(lot, count, seed, url or local_url(settings), log)
    with open_registry(settings, name="bidders") as (_, conn):
        tokens = make_guests(conn, request)
        conn.commit()  # the API must know them before they come
        figures = bid_until_the_end(
            request,
            tokens,
            lambda one: typer.echo(
                f"{one.bidder}: {one.wish.mode} {one.wish.max_minor} -> {one.status} {one.code}", err=True
            ),
        )
    if json:
        typer.echo(msgspec.json.encode(figures))
    else:
        for name, value in figures.items():
            typer.echo(f"{name:>14}  {value}")
