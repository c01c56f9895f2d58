"""`pledgewatch ingest`: is everything stored; the process itself."""

from __future__ import annotations

from pathlib import Path

import typer

from core.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Check that nothing was lost; run the ingest process.")

_JSON = typer.Option(False, "--json", help="Print the result as one JSON object on the last line.")


@app.command()
def check(
    acklog: Path = typer.Option(
        ..., "--acklog", exists=True, dir_okay=False, help="One row per report sent."
    ),
    wait: float = typer.Option(60.0, "--wait", min=0, help="Seconds to wait for an empty backlog."),
    json: bool = _JSON,
) -> None:
    """Compare a publish log with what is stored; exit code 1 when something is lost or was never sent.

    Example: pledgewatch ingest check --acklog acklog.csv --json
    """
    import msgspec

    from core.db.pool import connect
    from ingest.checking import check as checking
    from pledgewatch.embedded.stack import open_stack

    settings = load_settings()
    with open_stack(settings) as stack, connect(stack.database_url, name="check", autocommit=True) as conn:
        checking.wait_for_empty_backlog(
            conn, settings.ingest_slots, wait, tell=lambda text: typer.echo(text, err=True)
        )
        found = checking.check(conn, checking.read_log(acklog))
    if json:
        typer.echo(msgspec.json.encode(found.as_dict()))
    else:
        for name, value in found.as_dict().items():
            typer.echo(f"{name:>16}  {value}")
    if not found.good:
        typer.echo(
            f"ingest check: {found.lost} lost, {found.ghost} never sent, {found.stored_twice} stored twice",
            err=True,
        )
        raise typer.Exit(1)


@app.command()
def gaps(
    device: str | None = typer.Option(None, "--device", help="Only this device."),
    everything: bool = typer.Option(False, "--all", help="Also what was filled."),
    limit: int = typer.Option(1_000, "--limit", min=1, max=100_000),
    json: bool = _JSON,
) -> None:
    """Show which reports never came: missing numbers of each device's sequence.

    What has arrived is read first. Devices without a counter (boot 0) have no gaps.

    Example: pledgewatch ingest gaps --device 868120303960871
    """
    import msgspec

    from core.db.pool import connect
    from core.telemetry.clock import open_clock
    from core.telemetry.gaps import reader, store
    from pledgewatch.embedded.stack import open_stack

    settings = load_settings()
    with open_stack(settings) as stack, connect(stack.database_url, name="gaps", autocommit=True) as conn:
        with conn.transaction():
            now = open_clock(conn, settings).now()
        reader.catch_up(conn, now)
        rows = store.gaps(conn, device_id=device, open_only=not everything, limit=limit)
        count, devices, missing, overdue = store.totals(conn)
    if json:
        typer.echo(
            msgspec.json.encode(
                {
                    "open": count, "devices": devices, "missing": missing, "overdue": overdue,
                    "items": [row._asdict() | {"state": row.state} for row in rows],
                }
            )
        )  # fmt: skip
        return
    for row in rows:
        typer.echo(
            f"{row.device_id}  boot {row.boot_id}  {row.from_seq}..{row.to_seq}  {row.missing} missing  "
            f"{row.after_t:%Y-%m-%d %H:%M:%S} to {row.before_t:%Y-%m-%d %H:%M:%S}  {row.state}"
        )
    typer.echo(f"{count} open, {missing} reports missing from {devices} devices, {overdue} overdue", err=True)


@app.command()
def run() -> None:
    """Run the ingest process in the foreground (the same as `python -m ingest`).

    Example: pledgewatch ingest run
    """
    from ingest.__main__ import main

    raise typer.Exit(main())
