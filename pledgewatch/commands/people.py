"""`pledgewatch token`, `user` and `org`: who may ask the API and sign in, and for which branch."""

from __future__ import annotations

import os
import sys

import typer

from core.settings import load_settings

app = typer.Typer()
token_app = typer.Typer(no_args_is_help=True, help="API tokens.")
user_app = typer.Typer(no_args_is_help=True, help="People who sign in with a password.")
app.add_typer(token_app, name="token")
org_app = typer.Typer(no_args_is_help=True, help="Branches.")
app.add_typer(user_app, name="user")
app.add_typer(org_app, name="org")

PASSWORD_VARIABLE = "PLEDGEWATCH_USER_PASSWORD"  # noqa: S105 - the name of a variable, not a password

_ORG = typer.Option("head", "--org", help="Branch: sees its own vehicles and those of branches below it.")


@token_app.callback()
def _token_root() -> None:
    """API tokens."""


@org_app.callback()
def _org_root() -> None:
    """Branches."""


@user_app.callback()
def _user_root() -> None:
    """People who sign in with a password."""


@token_app.command("create")
def create_token(
    role: str = typer.Option(..., "--role", help="admin, risk_analyst, recovery, …, service"),
    org: str = _ORG,
    name: str = typer.Option("", "--name", help="Whose it is: logs and four eyes go by it."),
    days: int | None = typer.Option(None, "--days", min=1, max=36_500, help="Expires after so many days."),
) -> None:
    """Print a new API token, and nothing else. It is shown this once.

    Example: pledgewatch token create --role risk_analyst --days 90
    """
    from datetime import timedelta

    from collateral.staff import access
    from pledgewatch.registry import arguments_judged, open_registry

    lifetime = timedelta(days=days) if days is not None else None
    with arguments_judged(), open_registry(load_settings(), name="token") as (_, conn):
        token = access.create_token(conn, role, org_id=org, name=name, lifetime=lifetime)
    print(token)


@user_app.command("create")
def create_user(
    login: str,
    role: list[str] = typer.Option(..., "--role", help="May be given more than once."),
    org: str = _ORG,
    name: str = typer.Option("", "--name", help="Shown on screens."),
) -> None:
    """Register a person. The password comes from the terminal, PLEDGEWATCH_USER_PASSWORD, or stdin.

    Example: pledgewatch user create anna --role recovery --org branch-1
    """
    from collateral.staff import people
    from pledgewatch.registry import arguments_judged, open_registry

    password = _read_password()
    with arguments_judged(), open_registry(load_settings(), name="user") as (_, conn):
        people.create_user(conn, login, password, role, org_id=org, display_name=name)
    print(f"{login} may sign in")


@org_app.command("save")
def save_branch(
    org_id: str,
    name: str,
    parent: str = typer.Option("head", "--parent", help="The branch above it."),
) -> None:
    """Add, rename or move a branch; its staff see its vehicles and those of the branches below it.

    Example: pledgewatch org save east 华东分公司
    """
    from collateral.org import tree
    from pledgewatch.registry import arguments_judged, open_registry

    with arguments_judged(), open_registry(load_settings(), name="org") as (_, conn):
        unit = tree.save_unit(conn, org_id, name, parent_id=parent)
    print(f"{unit.org_id}: {unit.name}, below {unit.parent_id or 'nothing'}")


@org_app.command("list")
def list_branches() -> None:
    """Print every branch: id, the branch above, name.

    Example: pledgewatch org list
    """
    from collateral.org.store import list_units
    from pledgewatch.registry import open_registry

    with open_registry(load_settings(), name="org") as (_, conn):
        for unit in list_units(conn):
            print(f"{unit.org_id}\t{unit.parent_id or '-'}\t{unit.name}")


def _read_password() -> str:
    """Never from the arguments: every user of the machine can read those."""
    given = os.environ.get(PASSWORD_VARIABLE)
    if given:
        return given
    if sys.stdin.isatty():
        prompted: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return prompted
    return sys.stdin.readline().rstrip("\r\n")
