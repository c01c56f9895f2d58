"""Doctor's look at ingest: which slot needs somebody, and what to do."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from core.db.pool import connect
from core.settings import Settings
from ingest.slots import health
from ingest.slots import store as slots
from pledgewatch.embedded.findings import Check
from pledgewatch.embedded.stack import running_database_url

PART = "ingest slots"


def ingest_slots(settings: Settings) -> Iterator[Check]:
    """Say how each slot fares; nothing before the first ingest process has run."""
    url = settings.database_url or running_database_url(settings.data_dir)
    if url is None:
        return
    try:
        with connect(url, name="doctor") as conn:
            rows = slots.slot_rows(conn)
            number = slots.layout(conn) or settings.ingest_slots
    except psycopg.OperationalError:
        return  # the line of the database has said it
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        yield Check(PART, "note", "the database is not migrated", "pledgewatch migrate")
        return
    if not rows:
        return
    verdicts = health.judge(rows, number)
    bad = [verdict for verdict in verdicts if not verdict.good]
    for verdict in bad:
        yield Check(PART, "note", f"slot {verdict.slot} is {verdict.state}: {verdict.why}", verdict.todo)
    if not bad:
        slowest = max(rows, key=lambda row: row.lag_s)
        yield Check(PART, "ok", f"{number} served, at most {slowest.lag_s:.1f} s from publishing to commit")
