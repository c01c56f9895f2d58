"""`pledgewatch yard`: where recovered vehicles stand."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Add, change or list yards, where recovered vehicles stand.")


@app.callback()
def _root() -> None:
    """Add, change or list yards, where recovered vehicles stand."""


@app.command()
def save(
    yard_id: str,
    name: str,
    lat: float = typer.Option(..., "--lat", min=-90, max=90, help="WGS-84."),
    lon: float = typer.Option(..., "--lon", min=-180, max=180, help="WGS-84."),
    address: str = typer.Option("", "--address"),
    org: str = typer.Option("head", "--org", help="The branch that runs it; every branch may use it."),
) -> None:
    """Add a yard, or change it. Without one no crew can book a vehicle in.

    Example: pledgewatch yard save north 城北车库 --lat 30.25 --lon 117.95 --address "城北路 1 号"
    """
    from alerts.recovery.domain import Yard
    from alerts.recovery.store.yards import save_yard
    from collateral.org.tree import check_unit
    from core.settings import load_settings
    from pledgewatch.registry import arguments_judged, open_registry

    yard = Yard(_word(yard_id), name.strip() or yard_id, org, lat, lon, address.strip())
    with arguments_judged(), open_registry(load_settings(), name="yard") as (_, conn):
        check_unit(conn, org)
        save_yard(conn, yard)
    print(f"{yard.yard_id}: {yard.name}, of {yard.org_id}")


@app.command("list")
def list_yards() -> None:
    """Print every yard: id, branch, latitude, longitude, name, address.

    Example: pledgewatch yard list
    """
    from alerts.recovery.store import yards
    from core.settings import load_settings
    from pledgewatch.registry import open_registry

    with open_registry(load_settings(), name="yard") as (_, conn):
        for yard in yards.list_yards(conn):
            print(
                f"{yard.yard_id}\t{yard.org_id}\t{yard.lat:.6f}\t{yard.lon:.6f}\t{yard.name}\t{yard.address}"
            )


def _word(yard_id: str) -> str:
    import re

    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", yard_id):
        raise typer.BadParameter(f"expected 1-32 of A-Z, a-z, 0-9, _ and -, was {yard_id!r}")
    return yard_id
