"""The loop that sends what is due; the one of several processes that holds the advisory lock."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import psycopg
import structlog

from collateral.commands import store
from core import topics
from core.clock import from_ms, to_ms
from core.db.pool import connect
from core.job_runs.store import try_lock
from core.wire import VERSION
from ingest.link import TAKEN, Letter, Link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collateral.commands.store import Due
    from core.db.pool import Connection
    from core.settings import Settings

LEADER_LOCK = (7209, 1)
"""Named after the migration of the table. The lock goes with the connection, however its process ends;
two leaders for a moment would only send twice, and a device does each id once."""
CLIENT_ID = "pw-commands-sender"
EVERY_S = 1.0
AT_ONCE = 200

_log = structlog.get_logger("commands")


@dataclass(slots=True)
class Sender:
    """``start`` and ``stop`` are for a process; tests call ``turn``."""

    database_url: str
    mqtt_url: str
    every_s: float = EVERY_S
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="commands", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the turn at hand."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        link = Link(self.mqtt_url, CLIENT_ID)
        while not self._stop.wait(self.every_s):
            try:
                with connect(self.database_url, name="commands", autocommit=True) as conn:
                    self._lead(conn, link)
            except (psycopg.Error, OSError) as exc:
                _log.warning("commands_wait", error=f"{type(exc).__name__}: {exc}".partition("\n")[0])
                link.close()
        with contextlib.suppress(OSError):
            link.close()

    def _lead(self, conn: Connection, link: Link) -> None:
        leading = False
        while not self._stop.wait(self.every_s):
            leading = leading or try_lock(conn, LEADER_LOCK)
            if leading:
                turn(conn, link)


@contextlib.contextmanager
def sending(settings: Settings) -> Iterator[None]:
    """Send commands in a thread as long as the block lasts; the URLs are set (ingest/__main__.build)."""
    sender = Sender(settings.database_url or "", settings.mqtt_url or "")
    sender.start()
    try:
        yield
    finally:
        sender.stop()


def turn(conn: Connection, link: Link) -> int:
    """End what is late or of devices that moved, and send what is due; returns how many found a taker.

    No transaction is open while the broker is waited for. ``conn`` is in autocommit mode.

    Raises:
        OSError: the broker is away; nothing was marked. psycopg.Error: the database is.
    """
    store.expire(conn)
    store.cancel_moved(conn)
    due = store.due(conn, AT_ONCE)
    if not due:
        link.tend()
        return 0
    answers = link.publish([letter(command) for command in due])
    tried = [
        (command.command_id, command.heard, answer == TAKEN)
        for command, answer in zip(due, answers, strict=True)
        if answer is not None
    ]
    with conn.transaction():
        store.note_tries(conn, tried)
    taken = sum(one for *_, one in tried)
    _log.info("commands_sent", due=len(due), answered=len(tried), taken=taken)
    return taken


def letter(command: Due) -> Letter:
    """Return a command as its device reads it (docs/commands.md)."""
    body = {
        "v": VERSION,
        "id": str(command.command_id),
        "kind": command.kind,
        "params": command.params,
        "expires_at": from_ms(to_ms(command.expires_at)),
    }
    topic = topics.build(command.shard, command.device_id, "cmd")
    return Letter(topic, msgspec.json.encode(body), command.left_s)
