"""`pledgewatch fences import` and `fences check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from geofence.fences import LoadReport

app = typer.Typer(no_args_is_help=True, help="Check or import fences from GeoJSON.")

_FILE = typer.Argument(
    ..., exists=True, dir_okay=False, help="GeoJSON, plain or gzip; each feature is a fence."
)
_DATUM = typer.Option("wgs84", "--datum", help="What the file is drawn in: wgs84, gcj02 or bd09.")
_JSON = typer.Option(False, "--json", help="End with one JSON object on stdout.")


@app.command("check")
def check_fences(file: Path = _FILE, datum: str = _DATUM, json: bool = _JSON) -> None:
    """Say what of a file could be used, what would be repaired or refused, and why. Changes nothing.

    Example: pledgewatch fences check districts.geojson
    """
    _end(load_fences(file, None, datum), {}, json)


@app.command("import")
def import_fences(
    file: Path = _FILE,
    category: str = typer.Option(
        ..., "--category", help="What a fence of this file means, e.g. second_pledge."
    ),
    datum: str = _DATUM,
    json: bool = _JSON,
) -> None:
    """Put the fences of a file into force: new ones for all time, changed ones from now on.

    The same file again changes nothing. Vehicles that were near are judged again by the replayer.

    Example: pledgewatch fences import places.geojson --category second_pledge --datum gcj02
    """
    from core.clock import to_ms
    from core.settings import load_settings
    from core.telemetry.clock import open_clock
    from geofence.editing import put_in_force
    from pledgewatch.registry import open_registry

    loaded = load_fences(file, category, datum)
    settings = load_settings()
    with open_registry(settings, name="fences") as (_, conn):
        now_ms = to_ms(open_clock(conn, settings).now())
        edit = put_in_force(conn, loaded.fences, now_ms=now_ms, created_by="command line")
    _end(
        loaded,
        {
            "added": len(edit.added),
            "changed": len(edit.changed),
            "unchanged": len(edit.unchanged),
            "replays": edit.replays,
        },
        json,
    )


def load_fences(file: Path, category: str | None, datum: str) -> LoadReport:
    """Read a fence file; an unknown category or datum is wrong use, a broken file is not."""
    from core.errors import NotFound, Rejected
    from geofence.fences import load_geojson

    try:
        return load_geojson(file.read_bytes(), category, datum)
    except OSError as exc:
        raise NotFound(f"Expected a fence file, cannot read {file}: {exc.strerror}") from exc
    except Rejected as exc:
        if exc.code in ("bad_category", "bad_datum"):
            raise typer.BadParameter(f"{exc.message} [{exc.code}]") from exc
        raise


def _end(loaded: LoadReport, counts: dict[str, int], json: bool) -> None:
    """Tell, and exit with 1 when a feature was refused."""
    import msgspec

    for text in loaded.repaired:
        typer.echo(f"repaired {text}", err=True)
    for text in loaded.refused:
        typer.echo(f"refused {text}", err=True)
    summary = {
        "fences": len(loaded.fences), **counts,
        "repaired": len(loaded.repaired), "refused": len(loaded.refused),
    }  # fmt: skip
    typer.echo(", ".join(f"{key} {value}" for key, value in summary.items()), err=True)
    if json:
        details = {**summary, "repairs": loaded.repaired, "refusals": loaded.refused}
        typer.echo(msgspec.json.encode(details).decode())
    if loaded.refused:
        raise typer.Exit(1)
