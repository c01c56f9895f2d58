"""`pledgewatch device`: who may speak to the broker."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from core.settings import load_settings

if TYPE_CHECKING:
    from collateral.provisioning import Credential
    from core.settings import Settings
    from pledgewatch.embedded.stack import StackHandle

app = typer.Typer(no_args_is_help=True, help="Add, rotate or revoke a device's credentials.")

_JSON = typer.Option(False, "--json", help="Print the result as one JSON object on the last line.")


@app.command()
def add(
    device_id: str = typer.Argument(help="1-32 letters, digits, '_' or '-'; also its broker user name."),
    vehicle: str | None = typer.Option(None, "--vehicle", help="VIN or vehicle id; registered when unknown."),
    power: str = typer.Option("wired", "--power", help="wired or wireless"),
    json: bool = _JSON,
) -> None:
    """Register a device and print its credentials; the password is shown this once.

    Example: pledgewatch device add 868120303960871 --vehicle LSVAU218XN2183294 --json
    """
    from collateral import provisioning
    from core.telemetry.clock import open_clock
    from pledgewatch.registry import arguments_judged, open_registry

    settings = load_settings()
    with arguments_judged(), open_registry(settings, name="device") as (stack, conn):
        at = open_clock(conn, settings).now()
        given = provisioning.add_device(conn, device_id, vehicle, power=power, at=at)
        conn.commit()
        _hand_over(stack, settings, given, as_json=json)


@app.command()
def rotate(device_id: str, json: bool = _JSON) -> None:
    """Give a device a new password; the old one ends now.

    Example: pledgewatch device rotate 868120303960871 --json
    """
    from collateral import provisioning
    from pledgewatch.registry import open_registry

    settings = load_settings()
    with open_registry(settings, name="device") as (stack, conn):
        given = provisioning.rotate(conn, device_id)
        conn.commit()
        _hand_over(stack, settings, given, as_json=json)


@app.command()
def revoke(device_id: str, json: bool = _JSON) -> None:
    """Shut a device out: its connection is cut, and what waits for it is never delivered.

    Example: pledgewatch device revoke 868120303960871
    """
    import msgspec

    from collateral import provisioning
    from pledgewatch.registry import open_registry
    from pledgewatch.wiring import cut_off_revoked

    settings = load_settings()
    with open_registry(settings, name="device") as (stack, conn):
        changed = provisioning.revoke(conn, device_id)
        conn.commit()
        tell_broker(stack, settings)
        ended = cut_off_revoked(conn, stack, device_id)
    if not ended:
        print(
            "The broker was not reached to end the device's session; its reports are refused all the same.",
            file=sys.stderr,
        )
    if json:
        said = {"device_id": device_id, "revoked": True, "changed": changed, "session_ended": ended}
        print(msgspec.json.encode(said).decode())
    else:
        print(f"{device_id} is revoked" + ("" if changed else " (it was already)"))


def tell_broker(stack: StackHandle, settings: Settings) -> bool:
    """Have the broker read the accounts again; say on stderr when it is not ours to tell."""
    from pledgewatch.wiring import publish_accounts

    published = publish_accounts(stack)
    if not published:
        print(
            "The broker of PLEDGEWATCH_MQTT_URL is not ours to configure: set PLEDGEWATCH_MQTT_PASSWORD_FILE "
            "to its password file, then run `pledgewatch broker sync`.",
            file=sys.stderr,
        )
    return published


def _hand_over(stack: StackHandle, settings: Settings, given: Credential, *, as_json: bool) -> None:
    """Tell the broker, and print the credential whatever happens: it is nowhere else."""
    import msgspec

    said = {
        "device_id": given.device_id,
        "shard": f"{given.shard:02x}",  # as it stands in the device's topics
        "username": given.username,
        "password": given.password,
    }
    try:
        tell_broker(stack, settings)
    finally:
        if as_json:
            print(msgspec.json.encode(said).decode())
        else:
            for field, value in said.items():
                print(f"{field}: {value}")
