"""`pledgewatch quarantine`: what was refused, and why."""

from __future__ import annotations

import typer

from core.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="What was refused and why; send it again after a fix.")

_JSON = typer.Option(False, "--json", help="Print the result as one JSON object on the last line.")
_LIST_LIMIT = 1_000


@app.command("list")
def list_(
    reason: str | None = typer.Option(None, "--reason", help="Only this reason code."),
    everything: bool = typer.Option(False, "--all", help="Also what was replayed already."),
    limit: int = typer.Option(50, "--limit", min=1, max=_LIST_LIMIT),
    json: bool = _JSON,
) -> None:
    """Show what was refused, and why.

    Example: pledgewatch quarantine list --reason unknown_device
    """
    import msgspec

    from core.db.pool import connect
    from ingest import store
    from pledgewatch.embedded.stack import open_stack

    with open_stack(load_settings()) as stack, connect(stack.database_url, name="quarantine") as conn:
        summary = store.quarantine_summary(conn)
        entries = store.list_quarantine(conn, reason=reason, waiting_only=not everything, limit=limit)
    if json:
        items = [
            entry._asdict()
            | {"payload": entry.payload.decode("utf-8", "replace"), "sha256": entry.sha256.hex()}
            for entry in entries
        ]
        reasons = {name: {"waiting": waiting, "replayed": replayed} for name, waiting, replayed in summary}
        typer.echo(msgspec.json.encode({"reasons": reasons, "items": items}))
        return
    for name, waiting, replayed in summary:
        typer.echo(f"{name}: {waiting} waiting, {replayed} replayed")
    for entry in entries:
        typer.echo(
            f"{entry.quarantine_id:>8}  {entry.received_at:%Y-%m-%d %H:%M:%S}  {entry.device_id or '-'}  "
            f"{entry.reason}  x{entry.times}  {entry.detail}"
        )


@app.command()
def replay(
    reason: str | None = typer.Option(None, "--reason", help="Only this reason code."),
    quarantine_id: int | None = typer.Option(None, "--id", min=1, max=2**63 - 1, help="Only this entry."),
    json: bool = _JSON,
) -> None:
    """Send waiting entries through the pipeline again; running it twice stores nothing twice.

    Example: pledgewatch quarantine replay --reason unknown_device
    """
    import msgspec

    from core.db.pool import connect
    from core.telemetry.clock import open_clock
    from ingest.replaying import replay as send_again
    from ingest.wiring import tools_of
    from pledgewatch.embedded.stack import open_stack

    settings = load_settings()
    with (
        open_stack(settings) as stack,
        connect(stack.database_url, name="quarantine", autocommit=True) as conn,
    ):
        with conn.transaction():
            clock = open_clock(conn, settings)
        report = send_again(
            conn, tools_of(settings, clock, source="replay"), reason=reason, quarantine_id=quarantine_id
        )
    if json:
        typer.echo(msgspec.json.encode(report))
        return
    typer.echo(
        f"{report.tried} tried: {report.inserted} stored, {report.undated} undated, {report.repeats} known "
        f"already, {report.status} status, {sum(report.refused.values())} refused again"
    )
    for name, count in sorted(report.refused.items()):
        typer.echo(f"  {name}: {count}")
