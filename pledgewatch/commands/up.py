"""`pledgewatch up`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pledgewatch.embedded.stack import StackHandle

app = typer.Typer()

LINK_ROLES = ("risk_analyst", "recovery", "disposal", "device_manager", "auditor", "admin")
"""Staff roles that get a sign-in link; the others are for programs, partners and bidders."""


@app.command()
def up(
    demo: bool = typer.Option(False, "--demo", help="Tell the story: a fictional city and its fleet."),
) -> None:
    """Run database, broker and every process in the foreground; Ctrl-C stops all of it.

    Prints one single-use sign-in link per role, valid from this machine only.

    Examples: pledgewatch up · pledgewatch up --demo · PLEDGEWATCH_HTTP_PORT=9090 pledgewatch up
    """
    from core.settings import load_settings
    from pledgewatch.embedded.up import run_up

    run_up(load_settings(), demo, on_ready=_print_links)


def _print_links(stack: StackHandle, page_url: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from collateral.staff.access import create_sign_in_link
    from core.db.pool import connect

    table = Table("role", "sign in once with", box=None, header_style="bold")
    with connect(stack.database_url, name="up") as conn:
        for role in LINK_ROLES:
            table.add_row(role, f"{page_url}/sign-in/{create_sign_in_link(conn, role)}")
    Console(stderr=True, width=160).print(table)
