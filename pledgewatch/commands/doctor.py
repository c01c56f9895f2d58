"""`pledgewatch doctor`."""

from __future__ import annotations

import typer

app = typer.Typer()


@app.command()
def doctor(json: bool = typer.Option(False, "--json", help="Print the result as one JSON object.")) -> None:
    """Say what was found, what is missing and how to fix it.

    Exit code 1 when something that `up` needs is missing.

    Example: pledgewatch doctor
    """
    import msgspec
    from rich.console import Console

    from core.settings import load_settings
    from pledgewatch.embedded.doctor import examine

    diagnosis = examine(load_settings())
    if json:
        typer.echo(msgspec.json.encode(diagnosis.as_dict()))
    else:
        console = Console()
        for table in diagnosis.tables():
            console.print(table)
    raise typer.Exit(0 if diagnosis.healthy else 1)
