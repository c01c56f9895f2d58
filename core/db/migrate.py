"""The migration runner: numbered SQL files, applied once, in order, under one lock.

A file is one transaction with a short lock time-out. Header comments steer it:
``-- requires: timescaledb`` or ``-- requires: plain`` (skipped in the other mode, and remembered
as skipped), ``-- no-transaction`` (statements run one by one). Files in ``functions/`` are
repeatable: run again whenever their text changes. An applied file must never be edited.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.db.pool import Connection, connect
from core.db.timescale import StorageMode, detect
from core.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable

MIGRATIONS = Path(__file__).parent / "migrations"
FUNCTIONS = Path(__file__).parent / "functions"
LOCK_KEY = (7001, 0)
"""Advisory lock (namespace, id): two migrating processes wait for each other."""

_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
_REQUIRES = re.compile(r"^-- requires: (timescaledb|plain)\s*$", re.MULTILINE)
_NO_TRANSACTION = re.compile(r"^-- no-transaction\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a run did."""

    mode: StorageMode
    applied: tuple[str, ...]


def migrate(database_url: str, *, tell: Callable[[str], None] = lambda _: None) -> MigrationReport:
    """Bring the schema up to date; idempotent; ``tell`` hears each applied file.

    Raises:
        Misconfigured: an applied file was edited, a file name is not of the form, or TimescaleDB is
            too old.
    """
    with connect(database_url, name="migrate", autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(%s, %s)", LOCK_KEY)
        mode = detect(conn, install=True)
        conn.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration ("
            " name text PRIMARY KEY, sha256 text NOT NULL, skipped boolean NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done: dict[str, str] = dict(conn.execute("SELECT name, sha256 FROM schema_migration").fetchall())
        applied = [
            *_run_numbered(conn, mode, done, tell),
            *_run_functions(conn, mode, done, tell),
        ]
    return MigrationReport(mode, tuple(applied))


def _run_numbered(
    conn: Connection, mode: StorageMode, done: dict[str, str], tell: Callable[[str], None]
) -> list[str]:
    applied = []
    for path in sorted(MIGRATIONS.glob("*.sql")):
        if not _NAME.fullmatch(path.name):
            raise Misconfigured(f"Expected NNNN_name.sql, was {path.name}", code="bad_migration_name")
        text = path.read_text(encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        if path.name in done:
            if done[path.name] != digest:
                raise Misconfigured(
                    f"{path.name} was edited after it had been applied; add a new migration instead",
                    code="migration_edited",
                )
            continue
        if _apply(conn, path.name, text, digest, mode):
            tell(path.name)
            applied.append(path.name)
    return applied


def _run_functions(
    conn: Connection, mode: StorageMode, done: dict[str, str], tell: Callable[[str], None]
) -> list[str]:
    applied = []
    for path in sorted(FUNCTIONS.glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        name = f"functions/{path.name}"
        if done.get(name) != digest and _apply(conn, name, text, digest, mode):
            tell(name)
            applied.append(name)
    return applied


def _apply(conn: Connection, name: str, text: str, digest: str, mode: StorageMode) -> bool:
    required = _REQUIRES.search(text)
    skipped = required is not None and required[1] != mode.name
    remember = (
        "INSERT INTO schema_migration (name, sha256, skipped) VALUES (%s, %s, %s) "
        "ON CONFLICT (name) DO UPDATE SET sha256 = EXCLUDED.sha256, applied_at = now()"
    )
    if _NO_TRANSACTION.search(text) and not skipped:
        for statement in text.split(";\n"):
            if statement.strip():
                conn.execute(statement.encode())
        conn.execute(remember, (name, digest, skipped))
        return True
    with conn.transaction():
        conn.execute("SET LOCAL lock_timeout = '10s'")
        if not skipped:
            conn.execute(text.encode())
        conn.execute(remember, (name, digest, skipped))
    return not skipped
