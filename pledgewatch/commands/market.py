"""`pledgewatch market import FILE --mapping M.toml`."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from core.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Take in market prices: files and feeds.")

_FILE = typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, CSV.GZ or Parquet.")
_MAPPING = typer.Option(
    ..., "--mapping", help="A mapping (TOML), or the name of a shipped one: us_auction, …"
)
_JSON = typer.Option(False, "--json", help="Print the result as one JSON object on the last line.")


@app.callback()
def _root() -> None:
    """Take in market prices: files and feeds.

    Rows that repeat a known offer are counted and left out; rows that cannot be used are kept aside with
    their reason. Shipped mappings: us_auction, us_auction_detailed, us_private, cn_guazi, cn_guazi_raw,
    uk_listings, de_autoscout24.
    """


@app.command("import")
def import_(file: Path = _FILE, mapping: str = _MAPPING, json: bool = _JSON) -> None:
    """Store the observations of a file: all of it or nothing; a second time adds nothing.

    Example: pledgewatch market import sales.parquet --mapping us_auction

    Example: pledgewatch market import listings.csv --mapping my_market.toml --json
    """
    import msgspec

    from pledgewatch.registry import open_registry
    from valuation.intake.mapping import load_mapping
    from valuation.market.importing import import_file

    read = load_mapping(mapping)
    with open_registry(load_settings(), name="market-import") as (_, conn):
        result = import_file(
            conn, file, read, tell=lambda line: print(f"{file.name}: {line}", file=sys.stderr)
        )
    refused = sum(result.quarantined.values())
    for reason, count in result.quarantined.items():
        print(f"{file.name}: {count:,} quarantined: {reason}", file=sys.stderr)
    if json:
        print(
            msgspec.json.encode(
                {
                    "file": file.name,
                    "mapping": read.name,
                    "rows": result.rows,
                    "kept": result.kept,
                    "duplicate": result.duplicate,
                    "quarantined": result.quarantined,
                    "already_imported": result.already_imported,
                    "import_id": result.import_id,
                }
            ).decode()
        )
    else:
        again = " (imported before)" if result.already_imported else ""
        print(
            f"{file.name}: {result.rows:,} rows: {result.kept:,} kept, {result.duplicate:,} duplicate, "
            f"{refused:,} quarantined{again}"
        )
    if not result.usable:
        print(f"{file.name}: not one row can be used.", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def pull(
    source: Path = typer.Argument(
        exists=True, dir_okay=False, readable=True, help="A declared source (TOML)."
    ),
    json: bool = _JSON,
) -> None:
    """Ask a declared source for what is new and store it: everything or nothing.

    Sources of PLEDGEWATCH_MARKET_SOURCES are pulled by the valuation process; this asks one at once. How
    a declaration looks is said in valuation/connectors/source.py.

    Example: pledgewatch market pull feeds/acme.toml
    """
    import msgspec

    from core.db.pool import connect
    from core.feeds.fetching import open_client
    from pledgewatch.registry import open_registry
    from valuation.connectors.pulling import pull as pull_source
    from valuation.connectors.source import load_source

    declared = load_source(source)
    with (
        open_registry(load_settings(), name="market-pull") as (stack, _),
        connect(stack.database_url, name="market-pull", autocommit=True) as conn,
        open_client() as client,
    ):
        result = pull_source(conn, declared, client)
    if json:
        print(msgspec.json.encode(result).decode())
    else:
        print(
            f"{result.source}: {result.outcome}, {result.pages} pages, {result.kept:,} kept, "
            f"{result.duplicate:,} duplicate, {sum(result.quarantined.values()):,} quarantined"
        )
