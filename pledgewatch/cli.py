"""The command line. Commands are loaded when they are called, so that `--help` stays quick."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, NamedTuple

import typer
from typer.core import TyperGroup

from core.errors import Misconfigured, PledgewatchError
from core.logging import configure_logging

if TYPE_CHECKING:
    import types


class Entry(NamedTuple):
    """Where a command lives, and its line in `pledgewatch --help`."""

    module: str
    help: str


COMMANDS: dict[str, Entry] = {
    "up": Entry("up", "Run everything in the foreground; --demo tells the story."),
    "doctor": Entry("doctor", "What was found, what is missing, how to fix it."),
    "migrate": Entry("migrate", "Bring the database schema up to date."),
    "events": Entry("events", "Dispatch domain events (a process of its own)."),
    "import": Entry("imports", "Import vehicles, loans, devices or contacts from CSV or XLSX."),
    "device": Entry("device", "Add, rotate or revoke a device's credentials."),
    "gateway": Entry("gateway", "Devices that do not speak MQTT: the JT/T 808 gateway and its terminals."),
    "broker": Entry("broker", "Write the broker's password file from the registry."),
    "simulate": Entry("simulate", "Run a fleet, or replay recorded tracks, over MQTT."),
    "ingest": Entry("ingest", "Check that nothing was lost; run the ingest process."),
    "telemetry": Entry("telemetry", "Hold or erase reports; the length of chunks."),
    "quarantine": Entry("quarantine", "List what was refused and why; send it again after a fix."),
    "replay": Entry("geofence", "Run the rules over recorded tracks, without broker or database."),
    "rules": Entry("geofence", "The rule catalogue with its thresholds."),
    "fences": Entry("fences", "Check or import fences from GeoJSON."),
    "market": Entry("market", "Take in market prices: files and feeds."),
    "valuation": Entry("valuation", "Train and score the value model; mark the portfolio to market."),
    "value": Entry("value", "Value the vehicles of a file."),
    "token": Entry("people", "Create an API token."),
    "user": Entry("people", "Create a user with a password."),
    "org": Entry("people", "Add, rename, move or list branches."),
    "yard": Entry("yard", "Add, change or list yards, where recovered vehicles stand."),
    "openapi": Entry("openapi", "Print or write the OpenAPI document."),
    "auction": Entry("auction", "Write and check the signed protocol of a lot."),
    "ledger": Entry("ledger", "Whether the books of disposal add up."),
    "bidders": Entry("bidders", "Let invented people bid on a lot."),
    "bench": Entry("bench", "Measure the real code paths beside naive baselines."),
}


class LazyGroup(TyperGroup):
    """A command group whose members are imported on first use."""

    def list_commands(self, ctx: object) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Import the module of a command and return the command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"pledgewatch.commands.{entry.module}")
        command = _command_of(module, cmd_name)
        command.name = command.name or cmd_name  # without it, `--help` lists a line with no name
        command.help = command.help or entry.help
        return command


def _command_of(module: types.ModuleType, name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    """Return the module's app, or its member of that name when the module holds a family."""
    command = typer.main.get_command(module.app)
    members = getattr(command, "commands", {})
    return members.get(name, command)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    help="Pledgewatch watches vehicles that secure loans.",
    epilog="Start with: pledgewatch up --demo",
)


@app.callback()
def _root() -> None:
    """Pledgewatch watches vehicles that secure loans."""


def main() -> None:
    """Run the command line; errors of ours become one line on stderr and an exit code."""
    configure_logging("cli", json=False)
    try:
        app()
    except Misconfigured as exc:
        _complain(exc)
        sys.exit(2)
    except PledgewatchError as exc:
        _complain(exc)
        sys.exit(1)


def _complain(error: PledgewatchError) -> None:
    print(f"pledgewatch: {error.message} [{error.code}]", file=sys.stderr)
    if "--json" in sys.argv[1:]:
        # Whoever reads the last line as JSON gets one object also when nothing came of the command.
        print(json.dumps({"error": {"code": error.code, "message": error.message}}, ensure_ascii=False))
