"""`ingest check`: waits for an empty backlog, then compares a publish log with what is stored."""

from __future__ import annotations

import csv
import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from core.clock import monotonic, wall_now
from core.errors import Rejected, Unavailable
from ingest.checking import store
from ingest.checking.store import LogRow, Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from core.db.pool import Connection

COLUMNS = ("device_id", "boot_id", "seq", "sha256", "reason_code")
POLL_S = 0.2
TELL_EVERY_S = 3.0
EXAMPLES = 20


@dataclass(slots=True)
class CheckReport:
    """The figures of the contract, and examples of what is wrong."""

    sent: int = 0
    acknowledged: int = 0
    stored: int = 0
    undated: int = 0
    quarantined: int = 0
    dead_letter: int = 0
    duplicate: int = 0
    dup_conflict: int = 0
    lost: int = 0
    ghost: int = 0
    stored_twice: int = 0
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    lost_examples: list[Missing] = field(default_factory=list)
    ghost_examples: list[Missing] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing was lost, invented or stored twice."""
        return self.lost == 0 and self.ghost == 0 and self.stored_twice == 0

    def as_dict(self) -> dict[str, object]:
        """Return the report as JSON-able values."""
        return asdict(self)


def read_log(path: Path) -> Iterator[LogRow]:
    """Read a publish log.

    Raises:
        Rejected: a column is missing or a line is broken; names the line.
    """
    with path.open(newline="", encoding="utf-8-sig") as handle:
        lines = _lines(path, handle)
        header = [name.strip() for name in next(lines, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise Rejected(
                f"{path.name}: expected the columns {', '.join(COLUMNS)}, missing {', '.join(missing)}",
                code="bad_acklog",
            )
        places = [header.index(name) for name in COLUMNS]
        for number, line in enumerate(lines, start=2):
            if not line:
                continue
            try:
                device_id, boot_id, seq, digest, code = (line[place] for place in places)
                if "\0" in device_id:
                    raise ValueError("expected a device id, was text with U+0000")
                yield LogRow(device_id, _int64(boot_id), _int64(seq), bytes.fromhex(digest), accepted(code))
            except (ValueError, IndexError) as exc:
                raise Rejected(f"{path.name}: line {number}: {exc}", code="bad_acklog") from exc


def _lines(path: Path, handle: Iterable[str]) -> Iterator[list[str]]:
    lines = csv.reader(handle)
    try:
        yield from lines
    except (csv.Error, UnicodeDecodeError) as exc:
        raise Rejected(f"{path.name}: after line {lines.line_num}: {exc}", code="bad_acklog") from exc


def _int64(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"expected a number of 64 bits, was {text!r}")
    return number


def accepted(code: str) -> bool:
    """Tell whether a PUBACK reason means that the broker took the message: 0 alone does.

    0x10 ("no matching subscribers") is a success code of MQTT 5 and a loss all the same.
    """
    text = code.strip()
    return bool(text) and int(text, 0) == 0


def wait_for_empty_backlog(
    conn: Connection, slots: int, wait_s: float, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Wait until every slot has stored a probe that was sent after now.

    Raises:
        Unavailable: that took longer than ``wait_s``.
    """
    asked_at = wall_now()
    deadline_s = monotonic() + wait_s
    tell_at_s = monotonic() + TELL_EVERY_S
    while True:
        with conn.transaction():
            known, oldest = store.oldest_probe(conn)
        if known >= slots and oldest is not None and oldest > asked_at:
            return
        if monotonic() > deadline_s:
            last = "none" if oldest is None else oldest.isoformat(timespec="seconds")
            raise Unavailable(
                f"Expected the backlog to be empty within {wait_s:g} s; {known} of {slots} slots report, "
                f"the oldest of their probes is of {last}",
                code="backlog_not_empty",
            )
        if monotonic() > tell_at_s:
            tell_at_s = monotonic() + TELL_EVERY_S
            tell(f"waiting for the backlog: {known} of {slots} slots report, {oldest or 'no'} last probe")
        threading.Event().wait(POLL_S)


def check(conn: Connection, rows: Iterator[LogRow]) -> CheckReport:
    """Compare a log with what is stored, in one transaction that changes nothing."""
    with conn.transaction(force_rollback=True):
        sent = store.load_log(conn, rows)
        store.find_stored(conn)
        verdicts = store.judge(conn)
        report = CheckReport(sent=sent, acknowledged=sum(verdicts.values()))
        for verdict, count in verdicts.items():
            setattr(report, verdict, count)
        report.ghost = store.count_ghosts(conn)
        report.stored_twice = store.count_stored_twice(conn)
        report.reasons = store.reasons(conn)
        if report.lost:
            report.lost_examples = store.list_lost(conn, EXAMPLES)
        if report.ghost:
            report.ghost_examples = store.list_ghosts(conn, EXAMPLES)
    return report
