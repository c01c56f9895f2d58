"""Who may speak: all terminals in memory, so that sign-in goes on while the database is away.

Reads and writes of the database run in one thread; the event loop only looks things up. The number of
waiting writes is bounded: a flood of registrations costs a queue, not threads or memory.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import psycopg

from core.clock import monotonic
from core.db.pool import Connection, connect
from core.errors import Unavailable
from core.mqtt_passwords import mosquitto_password_hash, verify_mosquitto_password
from ingest.gateways.jt808 import store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.gateways.jt808.messages import Registration

MOST_WAITING = 64
LOOK_EVERY_S = 0.5
CODE_BYTES = 10
"""80 random bits as 20 letters and digits: some terminals keep no more than that."""
STATEMENT_TIMEOUT_MS = 5_000

Answer = TypeVar("Answer")


class Directory:
    """The enrolled terminals by number."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._conn: Connection | None = None
        self._by_number: dict[str, store.Terminal] = {}
        self._versions: tuple[int, ...] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="directory")
        self._waiting = 0
        self._looked_s = 0.0
        self._looking = asyncio.Lock()
        self.changed: Callable[[], None] = lambda: None
        """Called when terminals were read again."""

    async def find_newest(self, number: str) -> store.Terminal | None:
        """Return a terminal, looking into the database for one that may just have been enrolled.

        Raises:
            Unavailable: the database does not answer, or too many wait for it.
        """
        if number not in self._by_number:
            seen_s = self._looked_s
            await asyncio.sleep(max(0.0, seen_s + LOOK_EVERY_S - monotonic()))
            async with self._looking:  # a flood of strangers is one look
                if self._looked_s == seen_s:
                    await self.refresh()
        return self.find(number)

    def find(self, number: str) -> store.Terminal | None:
        """Return a terminal that may speak; None for one not enrolled or revoked."""
        terminal = self._by_number.get(number)
        return None if terminal is None or terminal.revoked else terminal

    def may_enter(self, number: str, code: str) -> store.Terminal | None:
        """Return the terminal when the code is its own."""
        terminal = self.find(number)
        if terminal is None or terminal.code_hash is None:
            return None
        return terminal if verify_mosquitto_password(code, terminal.code_hash) else None

    async def refresh(self) -> None:
        """Read the terminals again when the registry changed.

        Raises:
            Unavailable: the database does not answer; what is known stays valid.
        """
        self._looked_s = monotonic()
        found = await self._run(self._read)
        if found is not None:
            self._versions, listed = found
            self._by_number = {terminal.number: terminal for terminal in listed}
            self.changed()

    async def register(self, number: str, who: Registration) -> str | None:
        """Return a new code for the terminal, None when the number is another device's.

        Raises:
            Unavailable: the database does not answer, or too many wait for it.
        """
        code = secrets.token_hex(CODE_BYTES)
        code_hash = mosquitto_password_hash(code)

        def write(conn: Connection) -> bool:
            return store.register(
                conn,
                number,
                code_hash=code_hash,
                manufacturer=who.manufacturer,
                terminal_id=who.terminal_id,
                model=who.model,
            )

        if not await self._run(write):
            return None
        known = self._by_number.get(number)
        if known is not None:
            self._by_number[number] = dataclasses.replace(
                known,
                code_hash=code_hash,
                manufacturer=who.manufacturer,
                terminal_id=who.terminal_id,
                reported_model=who.model,
            )
        return code

    async def unregister(self, number: str) -> None:
        """Take a terminal's code away.

        Raises:
            Unavailable: the database does not answer, or too many wait for it.
        """
        await self._run(lambda conn: store.unregister(conn, number))
        known = self._by_number.get(number)
        if known is not None and known.open_registration:
            self._by_number[number] = dataclasses.replace(known, code_hash=None)

    def close(self) -> None:
        """End the thread and its connection."""
        self._thread.submit(self._disconnect)
        self._thread.shutdown(wait=True)

    # ------------------------------------------------------------------ in the thread

    async def _run(self, work: Callable[[Connection], Answer]) -> Answer:
        if self._waiting >= MOST_WAITING:
            raise Unavailable("Directory: too many requests wait for the database", code="directory_busy")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)
        except psycopg.Error as exc:
            raise Unavailable(f"Directory: {type(exc).__name__}: {exc}", code="database_down") from exc
        finally:
            self._waiting -= 1

    def _transact(self, work: Callable[[Connection], Answer]) -> Answer:
        if self._conn is None or self._conn.closed:
            self._conn = connect(
                self._url, name="jt808", autocommit=True, statement_timeout_ms=STATEMENT_TIMEOUT_MS
            )
        try:
            with self._conn.transaction():
                return work(self._conn)
        except psycopg.OperationalError:
            self._disconnect()
            raise

    def _read(self, conn: Connection) -> tuple[tuple[int, ...], list[store.Terminal]] | None:
        current = store.versions(conn)
        return None if current == self._versions else (current, store.terminals(conn))

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
