"""`pledgewatch replay` and `pledgewatch rules list`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

app = typer.Typer()
rules_app = typer.Typer(no_args_is_help=True, help="The rule catalogue with its thresholds.")
app.add_typer(rules_app, name="rules")


@app.command()
def replay(
    tracks: Path = typer.Option(..., exists=True, dir_okay=False, help="Track CSV, plain or gzip."),
    out: Path = typer.Option(..., help="Where the events go, as CSV."),
    fences: Path | None = typer.Option(
        None, exists=True, dir_okay=False, help="GeoJSON, plain or gzip; each feature is a fence."
    ),
    fence_datum: str = typer.Option("wgs84", help="What the fences are drawn in: wgs84, gcj02 or bd09."),
    timezone: str | None = typer.Option(None, help="Where nights are counted; default: the setting."),
    json: bool = typer.Option(False, "--json", help="End with one JSON object on stdout."),
) -> None:
    """Run the rules over recorded tracks, without broker or database.

    Fences keep their properties.category; without one they are regions: crossings are told, no rule fires.

    Example: pledgewatch replay --tracks day.csv.gz --fences districts.geojson --out events.csv
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    import msgspec
    from rich.console import Console
    from rich.progress import Progress

    from core.clock import monotonic
    from core.errors import Rejected
    from core.settings import load_settings
    from core.tracks import read_tracks
    from geofence.fences import LoadReport
    from geofence.index import Context, FenceIndex
    from geofence.offline import replay as run
    from geofence.offline import write_events
    from pledgewatch.commands.fences import load_fences

    zone = timezone or load_settings().timezone
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise typer.BadParameter(f"Expected a time zone such as Asia/Shanghai, was {zone!r}") from exc
    started = monotonic()
    loaded = LoadReport() if fences is None else load_fences(fences, None, fence_datum)
    _tell_load(loaded)
    index = FenceIndex.build(loaded.fences)
    context = Context(index, timezone=zone)
    file = read_tracks(tracks)
    read = monotonic()
    rows = sum(1 for _ in file.distinct())
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reports", total=rows)
        findings = list(run(file, context, lambda done: progress.advance(task, done)))
    judged = monotonic()
    try:
        with out.open("w", encoding="utf-8", newline="") as target:
            written = write_events(findings, target)
    except OSError as exc:
        raise Rejected(f"Expected to write {out}, cannot: {exc.strerror}", code="cannot_write") from exc
    summary = {
        "rows": len(file.rows),
        "reports": rows,
        "repeats": len(file.rows) - rows,
        "fences": len(loaded.fences),
        "fences_repaired": len(loaded.repaired),
        "fences_refused": len(loaded.refused),
        "events": written,
        "read_s": round(read - started, 2),
        "judge_s": round(judged - read, 2),
        "reports_per_s": round(rows / max(1e-6, judged - read)),
    }
    typer.echo(", ".join(f"{key} {value}" for key, value in summary.items()), err=True)
    if json:
        typer.echo(msgspec.json.encode(summary))


@rules_app.command("list")
def list_rules(json: bool = typer.Option(False, "--json", help="Print one JSON object.")) -> None:
    """Print every rule with its severity, how it ends and its thresholds.

    Example: pledgewatch rules list
    """
    import msgspec

    from alerts.domain import RULE_POLICIES
    from geofence.gaps import rule as gaps
    from geofence.rules import RULES
    from geofence.thresholds import Thresholds

    thresholds = Thresholds()
    rows: list[dict[str, Any]] = [
        {
            "name": rule.name,
            "code": rule.code,
            "title": rule.title,
            "severity": rule.severity.value,
            "loan_sensitive": RULE_POLICIES[rule.name].loan_sensitive,
            "latched": RULE_POLICIES[rule.name].latched,
            "clears": rule.clears,
            "thresholds": msgspec.to_builtins(getattr(thresholds, rule.limits)),
        }
        for rule in RULES
    ]
    policy = RULE_POLICIES[gaps.NAME]
    rows.append(
        {
            "name": gaps.NAME,
            "code": gaps.CODE,
            "title": gaps.TITLE,
            "severity": gaps.SEVERITY.value,
            "loan_sensitive": policy.loan_sensitive,
            "latched": policy.latched,
            "clears": gaps.CLEARS,
            "thresholds": msgspec.to_builtins(gaps.GapThresholds()),
        }
    )
    if json:
        typer.echo(msgspec.json.encode({"version": thresholds.version, "rules": rows}))
        return
    for row in rows:
        marks = ("▲" if row["loan_sensitive"] else "") + (" latched" if row["latched"] else "")
        typer.echo(f"{row['name']} [{row['code']}] {row['severity']}{marks}  {row['title']}")
        typer.echo(f"    clears: {row['clears']}")
        typer.echo("    " + ", ".join(f"{key}={value}" for key, value in row["thresholds"].items()))


def _tell_load(loaded: Any) -> None:
    for text in loaded.repaired:
        typer.echo(f"repaired {text}", err=True)
    for text in loaded.refused:
        typer.echo(f"refused {text}", err=True)
