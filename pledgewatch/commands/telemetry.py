"""`pledgewatch telemetry`: what is kept of reports, and what is not."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from core.errors import Rejected

if TYPE_CHECKING:
    from core.telemetry.storage.erasing.domain import Scope

app = typer.Typer(no_args_is_help=True, help="Hold or erase reports; the length of chunks.")
hold_app = typer.Typer(no_args_is_help=True, help="Keep a vehicle's reports from retention and erasure.")
app.add_typer(hold_app, name="hold")

_JSON = typer.Option(False, "--json", help="Print the result as one JSON object on the last line.")
_BY = typer.Option("", "--by", help="Who asks; without it the user of this machine.")


@app.command()
def erase(
    device: str = typer.Option("", "--device", help="All this device reported in the period."),
    vehicle: str = typer.Option("", "--vehicle", help="All reports of this vehicle in the period."),
    start: str = typer.Option(..., "--from", help="RFC 3339, e.g. 2026-01-01T00:00:00+08:00; included."),
    end: str = typer.Option(..., "--to", help="RFC 3339; not included."),
    reason: str = typer.Option(..., "--reason", help="Kept with the record of the erasure."),
    by: str = _BY,
    confirm: bool = typer.Option(False, "--confirm", help="Erase. Without it, only say what would go."),
    json: bool = _JSON,
) -> None:
    """Erase reports, latest positions, rollups, rule state and refused payloads of a period.

    Says first what would go; nothing is changed without --confirm. What a hold or an open recovery
    needs is refused (exit code 1). Findings, alerts and cases stay: they have times of their own.

    Example: pledgewatch telemetry erase --vehicle car-1 --from 2026-01-01T00:00:00Z --to
    2026-07-01T00:00:00Z --reason "request 118 of the pledgor" --confirm
    """
    from core.db.pool import connect
    from core.settings import load_settings
    from core.telemetry.clock import open_clock
    from core.telemetry.storage.erasing.erase import preview
    from pledgewatch.erasing import erase_everywhere
    from pledgewatch.registry import arguments_judged, open_registry

    settings = load_settings()
    with arguments_judged(), open_registry(settings, name="telemetry-erase") as (stack, conn):
        scope = _scope(device, vehicle, start, end)
        if not reason.strip():
            raise Rejected("Expected a reason, was empty", code="reason_missing")
        if not confirm:
            looked = preview(conn, scope)
            _tell(
                {
                    "erased": False,
                    "holds": looked.holds,
                    "devices": looked.devices,
                    "vehicles": looked.vehicles,
                },
                looked.counts,
                as_json=json,
            )
            return
        now = open_clock(conn, settings).now()
        conn.commit()
        with connect(stack.database_url, name="telemetry-erase", autocommit=True) as own:
            done = erase_everywhere(own, scope, reason, by or _user(), now)
    _tell(
        {
            "erased": True,
            "erasure_id": str(done.erasure_id),
            "devices": done.devices,
            "vehicles": done.vehicles,
        },
        done.counts,
        as_json=json,
    )


@app.command()
def chunks(
    devices: int = typer.Option(..., "--devices", min=1, help="How many report at once."),
    period: int = typer.Option(..., "--period", min=1, help="Seconds between two reports of a device."),
    memory_gb: int = typer.Option(..., "--memory", min=1, help="GiB of the database's machine."),
    apply: bool = typer.Option(False, "--apply", help="Set it, for chunks to come."),
    json: bool = _JSON,
) -> None:
    """Say how long chunks should be (TimescaleDB), and set it; chunks that exist stay as they are.

    Example: pledgewatch telemetry chunks --devices 20000 --period 30 --memory 32 --apply
    """
    from core.db.timescale import detect
    from core.settings import load_settings
    from core.telemetry.storage.chunks.store import chunk_interval, set_chunk_interval
    from core.telemetry.storage.sizing import advise
    from pledgewatch.registry import open_registry

    advice = advise(devices, period, memory_gb * 2**30)
    with open_registry(load_settings(), name="telemetry-chunks") as (_, conn):
        if detect(conn).timescaledb is None:
            raise Rejected(
                "Expected TimescaleDB, was plain PostgreSQL: its partitions are days", code="no_chunks"
            )
        before = chunk_interval(conn)
        if apply:
            set_chunk_interval(conn, advice.interval)
    _tell(
        {
            "interval_h": advice.interval.total_seconds() / 3_600,
            "reports_per_device": advice.reports_per_device,
            "index_mb": round(advice.index_bytes / 2**20),
            "memory_bound": advice.memory_bound,
            "interval_before_h": before.total_seconds() / 3_600 if before else None,
            "applied": apply,
        },
        {},
        as_json=json,
    )


@hold_app.command("add")
def hold_add(
    vehicle: str = typer.Argument(help="Vehicle id."),
    reason: str = typer.Option(..., "--reason", help="The dispute, the court, the file."),
    start: str = typer.Option("", "--from", help="RFC 3339; without it from the first report on."),
    end: str = typer.Option("", "--to", help="RFC 3339; without it also what is still to come."),
    by: str = _BY,
) -> None:
    """Hold a vehicle's reports until the hold is released; prints its number.

    Example: pledgewatch telemetry hold add car-1 --reason "court file 2026-88"
    """
    from core.settings import load_settings
    from core.telemetry.storage.holds import store
    from pledgewatch.registry import arguments_judged, open_registry

    with arguments_judged(), open_registry(load_settings(), name="telemetry-hold") as (_, conn):
        begins, ends = _moment("--from", start) if start else None, _moment("--to", end) if end else None
        print(store.place(conn, vehicle, reason, by or _user(), start=begins, end=ends))


@hold_app.command("release")
def hold_release(number: int = typer.Argument(help="The hold's number."), by: str = _BY) -> None:
    """Release a hold; what it alone kept goes with the next run of retention.

    Example: pledgewatch telemetry hold release 3
    """
    from core.settings import load_settings
    from core.telemetry.storage.holds import store
    from pledgewatch.registry import open_registry

    with open_registry(load_settings(), name="telemetry-hold") as (_, conn):
        store.release(conn, number, by or _user())


@hold_app.command("list")
def hold_list() -> None:
    """Print the holds in force: number, vehicle, from, to, who, why.

    Example: pledgewatch telemetry hold list
    """
    from core.settings import load_settings
    from core.telemetry.storage.holds import store
    from pledgewatch.registry import open_registry

    with open_registry(load_settings(), name="telemetry-hold") as (_, conn):
        for hold in store.in_force(conn):
            period = (
                hold.held_from.isoformat() if hold.held_from else "-",
                hold.held_until.isoformat() if hold.held_until else "-",
            )
            print("\t".join((str(hold.hold_id), hold.vehicle_id, *period, hold.placed_by, hold.reason)))


def _scope(device: str, vehicle: str, start: str, end: str) -> Scope:
    from core.telemetry.storage.erasing.domain import Scope

    if bool(device) == bool(vehicle):
        raise Rejected("Expected --device or --vehicle, one of the two", code="subject_missing")
    begins, ends = _moment("--from", start), _moment("--to", end)
    return Scope("device", device, begins, ends) if device else Scope("vehicle", vehicle, begins, ends)


def _moment(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise Rejected(f"{option}: expected RFC 3339, was {text!r}", code="bad_time") from exc
    if moment.tzinfo is None:
        raise Rejected(f"{option}: expected a time with its offset, was {text!r}", code="bad_time")
    return moment.astimezone(UTC)


def _user() -> str:
    return f"user:{getpass.getuser()}"


def _tell(head: dict[str, object], counts: dict[str, int], *, as_json: bool) -> None:
    import msgspec

    if as_json:
        print(msgspec.json.encode(head | ({"counts": counts} if counts else {})).decode())
        return
    for name, value in (head | counts).items():
        print(f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
