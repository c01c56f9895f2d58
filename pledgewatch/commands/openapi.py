"""`pledgewatch openapi`: print the OpenAPI document, or write docs/openapi.json anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


def text() -> str:
    """Return the document as it is committed."""
    from api.document import describe

    return json.dumps(describe(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


@app.command()
def openapi(
    out: Annotated[
        Path | None, typer.Option(help="File to write; docs/openapi.json is the committed one.")
    ] = None,
) -> None:
    """Print or write the OpenAPI document."""
    if out is None:
        typer.echo(text(), nl=False)
    else:
        out.write_text(text(), encoding="utf-8")
        typer.echo(f"wrote {out}", err=True)
