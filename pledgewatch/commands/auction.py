"""`pledgewatch auction`: a lot's signed protocol: written, checked offline, and the key to check it with."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import typer

app = typer.Typer(no_args_is_help=True, help="Write and check the signed protocol of a lot.")

_KEY = typer.Option(
    ..., "--key", exists=True, dir_okay=False, help="The house's public key (`pledgewatch auction key`)."
)


@app.command()
def verify(
    protocol: Path = typer.Argument(exists=True, dir_okay=False, help="A protocol as JSON."),
    key: Path = _KEY,
    json: bool = typer.Option(False, "--json", help="The last line of stdout is one JSON object."),
) -> None:
    """Check a protocol without any database: signature, chain, commitments, replay of the result.

    Exit code 1 when anything is wrong, 2 when the key is none.

    Example: pledgewatch auction verify lot-17.json --key public.pem
    """
    import msgspec

    from auction.protocol.signing import read_public
    from auction.protocol.verify import verify as check
    from pledgewatch.registry import arguments_judged

    with arguments_judged():
        public = read_public(key.read_bytes())
    verdict = check(protocol.read_bytes(), public)
    for problem in verdict.problems:
        typer.echo(str(problem), err=True)
    if json:
        typer.echo(msgspec.json.encode(verdict.as_dict()))
    elif verdict.good:
        hidden = f", {verdict.hidden_maxima} maxima above the price kept" if verdict.hidden_maxima else ""
        typer.echo(
            f"lot {verdict.lot_id}: {verdict.state}, {verdict.events} events, {verdict.bids} bids{hidden}; "
            "signature, chain, commitments and replay hold"
        )
    if not verdict.good:
        raise typer.Exit(1)


@app.command()
def export(
    lot: UUID = typer.Argument(help="The lot's id."),
    out: Path = typer.Option(..., "--out", dir_okay=False, writable=True, help="File to write."),
    full: bool = typer.Option(
        False, "--full", help="For auditors: also the buyer's maximum above the price."
    ),
) -> None:
    """Write the signed protocol of a decided lot; the same lot gives the same bytes at any time.

    Example: pledgewatch auction export 0b1c… --out lot-17.json
    """
    from auction.protocol.export import export as write
    from auction.protocol.signing import canonical, protocol_key
    from core.settings import load_settings
    from pledgewatch.registry import open_registry

    settings = load_settings()
    with open_registry(settings, name="auction-export") as (_, conn):
        document = write(conn, lot, key=protocol_key(settings), full=full)
    out.write_bytes(canonical(document) + b"\n")
    typer.echo(f"wrote {out}: {len(document['events'])} events", err=True)


@app.command()
def key() -> None:
    """Print the public key that protocols are checked with (PEM), and nothing else.

    Example: pledgewatch auction key > public.pem
    """
    from auction.protocol.signing import protocol_key, public_pem
    from core.settings import load_settings

    print(public_pem(protocol_key(load_settings())), end="")
