"""The log: gapless, chained, verified by other code than wrote it, and nobody rewrites it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC
from uuid import UUID

import psycopg
import pytest

from auction.log.append import append_event
from auction.log.store import events_after
from core.db.pool import Connection
from tests.auction.chain import check_chain
from tests.auction.sales import accepted, open_sale


def test_events_of_a_sale_hang_together_from_the_first_to_the_head(sales_db: Connection) -> None:
    sale = open_sale(sales_db)
    for who, yuan in ((0, 70_000), (1, 80_000), (1, 90_000), (2, 85_000)):
        accepted(sale.bid(sales_db, who, yuan))
    append_event(sales_db, sale.lot_id, "lot.note", {"text": "中文 “quotes” \\ and \u0001"})
    kinds = check_chain(sales_db, sale.lot_id)
    assert kinds == ["bid.accepted", "bid.accepted", "proxy.raised", "bid.accepted", "lot.note"]


def test_the_hash_covers_every_byte_of_what_was_said(sales_db: Connection) -> None:
    sale = open_sale(sales_db)
    accepted(sale.bid(sales_db, 0, 70_000))
    event = events_after(sales_db, sale.lot_id)[0]
    assert event.hash == hashlib.sha256(event.prev_hash + event.body).digest()
    said = json.loads(event.body)
    for forged in (
        event.body.replace(b"6000000", b"6000001"),
        event.body.replace(str(sale.lot_id).encode(), str(UUID(int=1)).encode()),
        event.body.replace(said["arrived_at"].encode(), b"2026-01-01T00:00:00.000000Z"),
    ):
        assert forged != event.body
        assert hashlib.sha256(event.prev_hash + forged).digest() != event.hash


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lot_event SET kind = 'x'",
        "DELETE FROM lot_event",
        "TRUNCATE lot_event CASCADE",
        "UPDATE bid SET max_minor = 1",
        "DELETE FROM bid",
        "UPDATE lot_event SET kind = 'x' WHERE false",
    ],
)
def test_nobody_rewrites_what_bidders_saw(sales_db: Connection, statement: str) -> None:
    sale = open_sale(sales_db)
    accepted(sale.bid(sales_db, 0, 70_000))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        sales_db.execute(statement)


def test_an_event_of_no_lot_is_refused(sales_db: Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        append_event(sales_db, UUID(int=3), "lot.note", {})


def test_times_in_the_log_do_not_depend_on_the_session(sales_db: Connection) -> None:
    sale = open_sale(sales_db)
    sales_db.execute("SET LOCAL timezone = 'Asia/Shanghai'")
    answer = accepted(sale.bid(sales_db, 0, 70_000))
    said = json.loads(events_after(sales_db, sale.lot_id)[0].body)
    assert said["arrived_at"] == answer.arrived_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    check_chain(sales_db, sale.lot_id)
