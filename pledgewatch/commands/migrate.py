"""`pledgewatch migrate`."""

from __future__ import annotations

import typer

app = typer.Typer()


@app.command()
def migrate(json: bool = typer.Option(False, "--json", help="Print the result as one JSON object.")) -> None:
    """Bring the schema up to date; running it again changes nothing.

    Example: pledgewatch migrate
    """
    import msgspec

    from core.db.migrate import migrate as run
    from core.settings import load_settings
    from pledgewatch.embedded.stack import open_stack

    with open_stack(load_settings()) as stack:
        report = run(stack.database_url, tell=lambda name: typer.echo(f"applied {name}", err=True))
    mode = f"PostgreSQL {report.mode.postgresql}, TimescaleDB {report.mode.timescaledb or 'absent'}"
    if json:
        typer.echo(msgspec.json.encode({"applied": report.applied, "storage": report.mode.name}))
    else:
        typer.echo(f"{mode}: {len(report.applied) or 'no'} migrations applied")
