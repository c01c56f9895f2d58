"""SQL of the sale's bench: terms that no pack has, the fence taken out, and the peers' tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.db.migrate import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from core.db.pool import Connection

FENCE_FILE = "auction_fence.sql"


def set_draft_terms(conn: Connection, lot_id: UUID, *, window_ms: int, drain_ms: int) -> None:
    """Give a draft another extension window and drain than its pack has."""
    conn.execute(
        "UPDATE lot SET window_ms = %s, extension_ms = %s, drain_ms = %s"
        " WHERE lot_id = %s AND state = 'draft'",
        (window_ms, window_ms, drain_ms, lot_id),
    )


def without_fence(conn: Connection) -> None:
    """Take the closing fence out, as most first versions have none."""
    for name in ("auction_bid_fence", "auction_close_fence"):
        conn.execute(
            f"CREATE OR REPLACE FUNCTION {name}(p_lot uuid) RETURNS void LANGUAGE sql AS ''".encode()
        )


def with_fence(conn: Connection) -> None:
    """Put it back as it is shipped."""
    conn.execute((FUNCTIONS / FENCE_FILE).read_text(encoding="utf-8").encode())


def database_offset_s(conn: Connection, monotonic_s: float) -> float:
    """Return what to add to a monotonic reading taken now to get Unix time of the database."""
    row = conn.execute("SELECT extract(epoch FROM clock_timestamp())::float").fetchone()
    return (float(row[0]) if row else 0.0) - monotonic_s


def states(conn: Connection, lot_ids: Sequence[UUID]) -> dict[str, int]:
    """Return how many of these lots are in which state."""
    rows = conn.execute(
        "SELECT state, count(*) FROM lot WHERE lot_id = ANY(%s) GROUP BY state", (list(lot_ids),)
    ).fetchall()
    return dict(rows)


def close_delays_ms(conn: Connection, lot_ids: Sequence[UUID]) -> list[float]:
    """Return, of each sold lot, the time from the end of its drain to the hammer."""
    return [
        float(delay)
        for (delay,) in conn.execute(
            "SELECT extract(epoch FROM hammered_at - ends_at - drain_ms * interval '1 millisecond') * 1000"
            " FROM lot WHERE lot_id = ANY(%s) AND hammered_at IS NOT NULL",
            (list(lot_ids),),
        ).fetchall()
    ]


def stored_bids(conn: Connection, lot_id: UUID) -> set[str]:
    """Return the ids of the bids that are there."""
    return {
        str(row[0]) for row in conn.execute("SELECT bid_id FROM bid WHERE lot_id = %s", (lot_id,)).fetchall()
    }


def decided_at(conn: Connection, lot_id: UUID) -> dict[int, datetime]:
    """Return when each event of a lot was decided."""
    return dict(conn.execute("SELECT seq, decided_at FROM lot_event WHERE lot_id = %s", (lot_id,)).fetchall())


# ---------------------------------------------------------------------------------------- peers


def make_peer_tables(conn: Connection) -> None:
    """Make the peers' lot, bids and events anew: the columns a bid needs, the indexes of ours."""
    conn.execute(
        "DROP TABLE IF EXISTS bench_lot, bench_bid, bench_event;"
        " CREATE TABLE bench_lot (lot_id int PRIMARY KEY, seq bigint NOT NULL, head bytea NOT NULL,"
        "  price_minor bigint NOT NULL, leader int, leader_max_minor bigint NOT NULL);"
        " CREATE TABLE bench_bid (lot_id int, seq bigint, bidder int, max_minor bigint,"
        "  PRIMARY KEY (lot_id, seq));"
        " CREATE TABLE bench_event (lot_id int, seq bigint, body bytea, hash bytea,"
        "  PRIMARY KEY (lot_id, seq));"
        " INSERT INTO bench_lot VALUES (1, 0, '', 0, NULL, 0)"
    )


def peer_lot(conn: Connection, *, lock: bool) -> tuple[int, bytes, int, int]:
    """Return seq, head, price and the leader's maximum."""
    row: Any = conn.execute(
        f"SELECT seq, head, price_minor, leader_max_minor FROM bench_lot WHERE lot_id = 1"
        f"{' FOR UPDATE' if lock else ''}".encode()
    ).fetchone()
    return row[0], bytes(row[1]), row[2], row[3]


def peer_event(conn: Connection, seq: int, body: bytes, digest: bytes) -> None:
    """Write an event."""
    conn.execute("INSERT INTO bench_event VALUES (1, %s, %s, %s)", (seq, body, digest))


def peer_bid(conn: Connection, seq: int, bidder: int, max_minor: int) -> None:
    """Write a bid."""
    conn.execute("INSERT INTO bench_bid VALUES (1, %s, %s, %s)", (seq, bidder, max_minor))


def peer_move(conn: Connection, seq: int, head: bytes, price_minor: int, bidder: int, max_minor: int) -> None:
    """Move the lot on."""
    conn.execute(
        "UPDATE bench_lot SET seq = %s, head = %s, price_minor = %s, leader = %s, leader_max_minor = %s"
        " WHERE lot_id = 1",
        (seq, head, price_minor, bidder, max_minor),
    )
