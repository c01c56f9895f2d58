"""`pledgewatch gateway`: devices that do not speak MQTT."""

from __future__ import annotations

import os

import typer

from core.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Run the JT/T 808 gateway; say which terminals may use it.")

_JSON = typer.Option(False, "--json", help="Print the result as one JSON object on the last line.")


@app.command()
def jt808() -> None:
    """Run the JT/T 808 gateway in the foreground, on the configured or the running embedded stack.

    Example: PLEDGEWATCH_JT808_HOST=0.0.0.0 pledgewatch gateway jt808
    """
    from core.errors import Misconfigured
    from ingest.gateways.jt808.__main__ import main
    from pledgewatch.embedded.stack import open_stack

    with open_stack(load_settings()) as stack:
        mqtt_url = stack.gateway_mqtt_url
        if mqtt_url is None:
            raise Misconfigured(
                "PLEDGEWATCH_GATEWAY_MQTT_URL: expected a URL with the account of gateways, was not set",
                code="url_missing",
            )
        os.environ["PLEDGEWATCH_DATABASE_URL"] = stack.database_url
        os.environ["PLEDGEWATCH_GATEWAY_MQTT_URL"] = mqtt_url
        status = main()
    raise typer.Exit(status)


@app.command()
def enrol(
    device_id: str = typer.Argument(help="A registered device (pledgewatch device add)."),
    terminal: str | None = typer.Option(
        None, "--terminal", help="Number in the header of its frames; by default the device id."
    ),
    code: str | None = typer.Option(
        None, "--code", help="Authentication code set in the terminal by hand: closes registration."
    ),
    dialect: str | None = typer.Option(
        None, "--dialect", help="By default by the device's model; see `pledgewatch gateway dialects`."
    ),
    json: bool = _JSON,
) -> None:
    """Let a JT/T 808 terminal speak for a device. Enrol again to let a replaced terminal in.

    Example: pledgewatch gateway enrol 868120303960871 --terminal 13912345678 --dialect wireless-g10
    """
    import msgspec

    from ingest.gateways.jt808.dialects import load_dialects
    from ingest.gateways.jt808.enrolment import enrol as enrol_terminal
    from pledgewatch.registry import arguments_judged, open_registry

    settings = load_settings()
    with arguments_judged(), open_registry(settings, name="gateway") as (_, conn):
        number = enrol_terminal(conn, device_id, load_dialects(), number=terminal, dialect=dialect, code=code)
    said = {"device_id": device_id, "terminal": number, "open_registration": code is None}
    print(msgspec.json.encode(said).decode() if json else f"terminal {number} speaks for {device_id}")


@app.command()
def remove(terminal: str = typer.Argument(help="Number of the terminal."), json: bool = _JSON) -> None:
    """Forget a terminal; its connection ends within seconds. The device itself stays.

    Example: pledgewatch gateway remove 13912345678
    """
    import msgspec

    from ingest.gateways.jt808 import store
    from pledgewatch.registry import open_registry

    with open_registry(load_settings(), name="gateway") as (_, conn):
        changed = store.remove(conn, terminal.lstrip("0"))
    if json:
        print(msgspec.json.encode({"terminal": terminal, "changed": changed}).decode())
    else:
        print(f"{terminal} is removed" if changed else f"{terminal} was not enrolled")


@app.command()
def terminals(json: bool = _JSON) -> None:
    """List the enrolled terminals, and whether each has registered.

    Example: pledgewatch gateway terminals --json
    """
    import msgspec

    from ingest.gateways.jt808 import store
    from pledgewatch.registry import open_registry

    with open_registry(load_settings(), name="gateway") as (_, conn):
        found = store.terminals(conn)
    rows = [
        {
            "terminal": one.number,
            "device_id": one.device_id,
            "registered": one.code_hash is not None,
            "open_registration": one.open_registration,
            "dialect": one.dialect,
            "model": one.model or one.reported_model,
            "revoked": one.revoked,
        }
        for one in found
    ]
    if json:
        print(msgspec.json.encode({"terminals": rows}).decode())
    for row in [] if json else rows:
        print("  ".join(f"{name}={value}" for name, value in row.items() if value is not None))


@app.command()
def dialects() -> None:
    """List the dialects: what the bits and items of a model mean.

    Example: pledgewatch gateway dialects
    """
    from ingest.gateways.jt808.dialects import load_dialects

    for dialect in load_dialects().known.values():
        print(f"{dialect.name}  {', '.join(dialect.models)}".rstrip())
