"""`pledgewatch broker sync`: the registry's devices become the broker's accounts."""

from __future__ import annotations

import typer

from core.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Write the broker's password file from the registry.")


@app.callback()
def _root() -> None:
    """Write the broker's password file from the registry."""


@app.command()
def sync(
    json: bool = typer.Option(False, "--json", help="Print the result as one JSON object."),
) -> None:
    """Write every device that may connect into the broker's password file, and have it read.

    Example: PLEDGEWATCH_MQTT_PASSWORD_FILE=/mosquitto/secrets/passwords pledgewatch broker sync
    """
    import msgspec

    from collateral import provisioning
    from pledgewatch.commands.device import tell_broker
    from pledgewatch.registry import open_registry

    settings = load_settings()
    with open_registry(settings, name="broker-sync") as (stack, conn):
        devices = len(provisioning.broker_accounts(conn))
        conn.commit()
        published = tell_broker(stack, settings)
    if json:
        print(msgspec.json.encode({"devices": devices, "published": published}).decode())
    elif published:
        print(f"{devices} devices may connect")
    if not published:
        raise typer.Exit(1)
