"""`pledgewatch bench NAME`."""

from __future__ import annotations

from enum import StrEnum

import typer

app = typer.Typer()


class Bench(StrEnum):
    """The benches there are."""

    INGEST = "ingest"
    GEOFENCE = "geofence"
    ALERTS = "alerts"
    API = "api"
    AUCTION = "auction"
    VALUATION = "valuation"
    STORAGE = "storage"


@app.command()
def bench(
    name: Bench = typer.Argument(help="Which real code path to measure."),
    json: bool = typer.Option(False, "--json", help="The last line of stdout is one JSON object."),
    long: bool = typer.Option(False, "--long", help="Full trial counts, as in `make bench`."),
) -> None:
    """Measure a real code path beside naive baselines run in the same call.

    The figures belong to the machine they were measured on; the ratios travel.

    Examples: pledgewatch bench alerts · pledgewatch bench ingest --json
    """
    import msgspec

    from pledgewatch.bench.run import run_bench

    result = run_bench(name.value, lambda text: typer.echo(f"· {text}", err=True), long=long)
    if json:
        typer.echo(msgspec.json.encode(result))
        return
    typer.echo(f"{result.bench}: {result.workload}")
    for group, values in (
        ("machine", result.machine),
        ("figures", result.figures),
        ("ratios", result.ratios),
    ):
        typer.echo(f"  {group}")
        for key, value in values.items():
            typer.echo(f"    {key:40} {value if isinstance(value, str) else f'{value:,.3f}'}")
    for peer, values in result.peers.items():
        typer.echo(f"  peer {peer}")
        for key, value in values.items():
            typer.echo(f"    {key:40} {value:,.3f}")
