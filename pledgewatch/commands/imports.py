"""`pledgewatch import vehicles|loans|devices|contacts FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from core.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Import vehicles, loans, devices or contacts from CSV or XLSX.")

MOST_FAULTS_SHOWN = 50

_FILE = typer.Argument(
    exists=True,
    dir_okay=False,
    readable=True,
    help="CSV (UTF-8 or GB18030) or XLSX, Chinese or English headers.",
)
_CURRENCY = typer.Option("CNY", "--currency", help="Of amounts in rows that do not say.")
_JSON = typer.Option(False, "--json", help="Print the report as one JSON object on the last line.")


@app.callback()
def _root() -> None:
    """Import vehicles, loans, devices or contacts from CSV or XLSX.

    A file is stored whole or not at all; importing it again changes nothing. An empty cell keeps what is
    stored. Faults are listed by line on stderr.
    """


@app.command()
def vehicles(file: Path = _FILE, json: bool = _JSON) -> None:
    """Vehicles: VIN (车架号), plate (车牌号), engine number (发动机号), first registration (初次登记日期), …

    Example: pledgewatch import vehicles 车辆台账.xlsx
    """
    _run("vehicles", file, as_json=json)


@app.command()
def loans(file: Path = _FILE, currency: str = _CURRENCY, json: bool = _JSON) -> None:
    """Loans: contract (合同号), VIN (车架号), balance (贷款余额), days past due (逾期天数), as of (数据日期)…

    Example: pledgewatch import loans 贷款台账.csv
    """
    _run("loans", file, as_json=json, currency=currency)


@app.command()
def devices(file: Path = _FILE, json: bool = _JSON) -> None:
    """Devices: device (设备号), VIN (车架号) to put it into, power (供电方式), installed (安装日期), …

    Passwords are given by `pledgewatch device add`.

    Example: pledgewatch import devices devices.csv
    """
    _run("devices", file, as_json=json)


@app.command()
def contacts(file: Path = _FILE, json: bool = _JSON) -> None:
    """Contacts: party (客户编号), phone (手机号), address (地址), WeChat (微信), relation (关系), …

    They are encrypted with PLEDGEWATCH_CONTACTS_KEY before they are stored.

    Example: pledgewatch import contacts contacts.csv
    """
    _run("contacts", file, as_json=json)


def _run(kind: str, file: Path, *, as_json: bool, currency: str = "CNY") -> None:
    import msgspec

    from collateral.contacts.cipher import open_cipher
    from collateral.imports.file import ImportOptions, import_file
    from core.telemetry.clock import open_clock
    from pledgewatch.registry import arguments_judged, open_registry

    settings = load_settings()
    cipher = open_cipher(settings) if kind == "contacts" else None
    with arguments_judged(), open_registry(settings, name="import") as (_, conn):
        at = open_clock(conn, settings).now()
        report = import_file(
            conn, kind, file, ImportOptions(settings.timezone, currency=currency, at=at, cipher=cipher)
        )
    if report.ignored_columns:
        print(f"Columns that mean nothing here: {', '.join(report.ignored_columns)}", file=sys.stderr)
    for line, column, code, message in report.errors[:MOST_FAULTS_SHOWN]:
        place = f"line {line}" + (f", {column}" if column else "") if line else file.name
        print(f"{place}: {message} [{code}]", file=sys.stderr)
    if len(report.errors) > MOST_FAULTS_SHOWN:
        print(f"… and {len(report.errors) - MOST_FAULTS_SHOWN} more", file=sys.stderr)
    if as_json:
        faults = [fault._asdict() for fault in report.errors]
        told = {
            **{name: getattr(report, name) for name in ("kind", "inserted", "updated", "unchanged", "stale")}
        }
        print(
            msgspec.json.encode(
                {**told, "errors": faults, "ignored_columns": report.ignored_columns}
            ).decode()
        )
    elif report.ok:
        stale = f", {report.stale} older than stored" if report.stale else ""
        print(f"{kind}: {report.inserted} new, {report.updated} changed, {report.unchanged} unchanged{stale}")
    if not report.ok:
        print(f"Nothing was imported: {len(report.errors)} fault(s).", file=sys.stderr)
        raise typer.Exit(1)
