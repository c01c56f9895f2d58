"""The checklist begins when the price is paid; its steps are the pack's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from auction.title import store

if TYPE_CHECKING:
    from core.db.pool import Connection
    from core.policy.pack import Pack


def begin(conn: Connection, settlement_id: UUID, pack: Pack) -> None:
    """Write the checklist of a paid settlement."""
    store.insert_steps(conn, settlement_id, pack.title_steps)
