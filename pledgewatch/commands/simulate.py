"""`pledgewatch simulate`: a fleet, or a recorded file, over real MQTT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pledgewatch.simulating import Request

app = typer.Typer()


@app.command()
def simulate(
    vehicles: int = typer.Option(24, "--vehicles", min=1, max=1_000_000, help="How many vehicles."),
    speed: str = typer.Option(
        "",
        "--speed",
        help="Simulated seconds per second, or max; a scaled clock that is still in the past decides.",
    ),
    scenario: str = typer.Option("day", "--scenario", help="day, quiet, storm or story."),
    seed: int = typer.Option(1, "--seed", help="The same seed gives the same fleet, lives and incidents."),
    incidents: int | None = typer.Option(None, "--incidents", min=0, help="Default: 40 per 300 vehicles."),
    duration: str | None = typer.Option(
        None,
        "--duration",
        help="Simulated time: 90s, 30m, 24h, 7d. Default: until a scaled clock meets now, else 24h.",
    ),
    start: str | None = typer.Option(None, "--start", help="RFC 3339; default: so that the end meets now."),
    labels: Path | None = typer.Option(None, "--labels", help="Where the expected alerts go, as CSV."),
    acklog: Path | None = typer.Option(None, "--acklog", help="Where the publish log goes, as CSV."),
    out: Path | None = typer.Option(None, "--out", help="Write a track file instead of publishing."),
    city: Path | None = typer.Option(None, "--city", help="Where the city's map goes, as GeoJSON."),
    replay: Path | None = typer.Option(
        None, "--replay", exists=True, dir_okay=False, help="Publish this track file instead of a fleet."
    ),
    shift_to_now: bool = typer.Option(False, "--shift-to-now", help="Move a file's times: it ends now."),
    disorder: int | None = typer.Option(None, "--disorder", help="Seed: shuffle and delay by up to 24 h."),
    double: bool = typer.Option(False, "--double", help="Send every row of the file twice."),
    part: str | None = typer.Option(None, "--part", help="I/N: only the I-th of N pieces of the file."),
    provision: bool = typer.Option(
        True, "--provision/--no-provision", help="Register the fleet first, with new passwords."
    ),
    credentials: Path | None = typer.Option(
        None, "--credentials", help="CSV device_id,shard,username,password, for --no-provision."
    ),
    single: bool = typer.Option(False, "--single", help="One report per message, never an array."),
    json: bool = typer.Option(False, "--json", help="End with one JSON object on stdout."),
) -> None:
    """Run a moving fleet with labelled incidents, or replay recorded tracks, over MQTT.

    Example: pledgewatch simulate --vehicles 300 --speed 600 --labels labels.csv --acklog ack.csv
    """
    import msgspec

    from core.errors import Rejected
    from pledgewatch.registry import arguments_judged
    from pledgewatch.simulating import Request, parse_duration_ms, parse_speed, run_request

    with arguments_judged():
        request = Request(
            vehicles=vehicles,
            speed=parse_speed(speed),
            scenario=scenario,
            seed=seed,
            incidents=incidents,
            duration_ms=parse_duration_ms(duration) if duration else None,
            start=start,
            labels=labels,
            acklog=acklog,
            out=out,
            city=city,
            replay=replay,
            shift_to_now=shift_to_now,
            disorder=disorder,
            double=double,
            part=part,
            provision=provision,
            credentials=credentials,
            single=single,
        )
    try:
        summary = run_request(request)
    except Rejected as exc:
        if exc.code in ("unknown_scenario", "bad_start"):
            raise typer.BadParameter(f"{exc.message} [{exc.code}]") from exc
        raise
    _tell(request, summary)
    if json:
        typer.echo(msgspec.json.encode(summary).decode())
    if summary.get("sent", 0) != summary.get("acknowledged", 0):
        raise typer.Exit(1)


def _tell(request: Request, summary: dict[str, object]) -> None:
    typer.echo(", ".join(f"{key} {value}" for key, value in summary.items()), err=True)
    if request.acklog is not None:
        typer.echo(f"publish log: {request.acklog}", err=True)
