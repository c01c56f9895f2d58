"""How commands reach the registry: one transaction on the deployment's database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg
import typer

from core.db.pool import Connection, connect
from core.errors import Rejected, Unavailable
from pledgewatch.embedded.stack import StackHandle, open_stack

if TYPE_CHECKING:
    from core.settings import Settings


@contextlib.contextmanager
def open_registry(settings: Settings, *, name: str) -> Iterator[tuple[StackHandle, Connection]]:
    """Yield the stack and a connection; commits when the block ends well.

    An embedded database is migrated first (a fresh folder has no schema yet); a configured one is its
    operator's to migrate.

    Raises:
        Unavailable: the database cannot be reached, or has no schema.
    """
    with open_stack(settings) as stack:
        url = stack.database_url
        if settings.database_url is None:
            from core.db.migrate import migrate

            migrate(url)
        try:
            with connect(url, name=name) as conn:
                yield stack, conn
        except psycopg.errors.UndefinedTable as exc:
            raise Unavailable(
                "Database: expected the schema of Pledgewatch; run `pledgewatch migrate`",
                code="schema_missing",
            ) from exc
        except psycopg.OperationalError as exc:
            raise Unavailable(f"Database: {str(exc).strip()}", code="database_unreachable") from exc


@contextlib.contextmanager
def arguments_judged() -> Iterator[None]:
    """Turn a refused value into wrong use (exit code 2): on a command line it was an argument."""
    try:
        yield
    except Rejected as exc:
        raise typer.BadParameter(f"{exc.message} [{exc.code}]") from exc
