"""An independent check of a lot's chain: Python's own SHA-256 and JSON over what is stored, nothing of ours."""

from __future__ import annotations

import hashlib
import json
from uuid import UUID

from core.db.pool import Connection


def check_chain(conn: Connection, lot_id: UUID) -> list[str]:
    """Return the kinds of the events in order; fail where a link, a number or the head does not fit."""
    head, seq, kinds = b"", 0, []
    rows = conn.execute(
        "SELECT seq, kind, payload, body, prev_hash, hash, actor_code FROM lot_event WHERE lot_id = %s ORDER BY seq",
        (lot_id,),
    ).fetchall()
    for row_seq, kind, payload, body, prev_hash, link, actor in rows:
        seq += 1
        assert row_seq == seq
        assert prev_hash == head
        head = hashlib.sha256(head + body).digest()
        assert link == head
        said = json.loads(body.decode("utf-8"))
        assert said["payload"] == payload
        assert (said["v"], said["lot"], said["seq"], said["kind"]) == (1, str(lot_id), seq, kind)
        assert said["actor"] == actor
        kinds.append(kind)
    stored = conn.execute("SELECT seq, head_hash FROM lot WHERE lot_id = %s", (lot_id,)).fetchone()
    assert stored == (seq, head)
    return kinds
