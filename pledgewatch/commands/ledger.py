"""`pledgewatch ledger`: whether the books add up."""

from __future__ import annotations

import typer

from core.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Whether the books of disposal add up.")

_JSON = typer.Option(False, "--json", help="Print the result as one JSON object on the last line.")


@app.callback()
def _books() -> None:
    """Whether the books of disposal add up."""


@app.command()
def check(json: bool = _JSON) -> None:
    """Add up every account per currency and test what must hold of holds, deposits and prices.

    Exit code 1 unless every currency is at zero and nothing is broken.

    Example: pledgewatch ledger check --json
    """
    import msgspec

    from auction.ledger.check import check_books
    from core.db.pool import connect
    from core.domain.money import Money, format_money
    from pledgewatch.embedded.stack import open_stack

    with open_stack(load_settings()) as stack, connect(stack.database_url, name="ledger") as conn:
        found = check_books(conn)
    if json:
        balances = [
            {
                "currency": balance.currency,
                "debit_minor": balance.debit_minor,
                "credit_minor": balance.credit_minor,
                "difference_minor": balance.difference_minor,
            }
            for balance in found.balances
        ]
        typer.echo(
            msgspec.json.encode(
                {
                    "ok": found.ok,
                    "entries": found.entries,
                    "postings": found.postings,
                    "balances": balances,
                    "broken": dict(found.broken),
                }
            )
        )
    else:
        typer.echo(f"{found.entries} entries, {found.postings} postings")
        for balance in found.balances:
            debit, credit = (
                format_money(Money(minor, balance.currency), "en")
                for minor in (balance.debit_minor, balance.credit_minor)
            )
            typer.echo(f"{balance.currency}: debit {debit}, credit {credit}")
        for name, rows in found.broken.items():
            if rows:
                typer.echo(f"broken: {name} ({rows})")
    if not found.ok:
        raise typer.Exit(1)
