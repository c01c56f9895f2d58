"""Which slot is behind, why, and what to do: for readiness, doctor and the metrics of the API. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

BEHIND_S = 60.0
"""Silence is judged only while the backlog is shorter (architecture, decision 8)."""


class SlotRow(NamedTuple):
    """A row of ingest_slot, with ages in seconds of database time."""

    slot: int
    served: bool
    connected: bool
    seen_s: float | None
    oldest_unacked_s: float
    window_used: int
    lag_s: float
    rejects: int
    retries: int
    broker_drops: int
    batches: int
    reports: int
    batch_reports: float
    commit_s: float
    recent_drops: int
    recent_losses: int


class SlotHealth(NamedTuple):
    """The verdict on a slot: ``ok``, or what is wrong, by which figures, and what to do."""

    slot: int
    state: str
    why: str = ""
    todo: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing has to be done."""
        return self.state == "ok"


def judge(rows: Sequence[SlotRow], slots: int) -> list[SlotHealth]:
    """Return the health of each slot of the layout, and of those that the layout no longer has."""
    known = {row.slot: row for row in rows}
    return [_judge_one(slot, known.get(slot), slots) for slot in sorted({*range(slots), *known})]


def _judge_one(slot: int, row: SlotRow | None, slots: int) -> SlotHealth:
    if row is None or not row.served:
        last = "never" if row is None or row.seen_s is None else f"{row.seen_s:.0f} s ago"
        if slot >= slots:
            return SlotHealth(
                slot, "retired", f"the layout has {slots} slots; last served {last}",
                "start an ingest process: it stores what waits there, then the slot goes",
            )  # fmt: skip
        return SlotHealth(
            slot, "unserved", f"its lease is not renewed; last {last}",
            "start `python -m ingest`, or read its log for why it ended or waits; the broker's queue fills",
        )  # fmt: skip
    if not row.connected:
        return SlotHealth(
            slot, "disconnected", "its worker has no session at the broker",
            "see whether the broker runs and PLEDGEWATCH_MQTT_URL lets ingest in",
        )  # fmt: skip
    waited = max(row.lag_s, row.oldest_unacked_s)
    if waited > BEHIND_S:
        return SlotHealth(
            slot, "behind",
            f"{waited:.0f} s from publishing to commit, {row.window_used} messages in hand, "
            f"{row.retries} retries, {row.commit_s:.2f} s a commit of {row.batch_reports:.0f} reports",
            "retries or slow commits: look at the database; else it is too much for one slot: more slots",
        )  # fmt: skip
    if row.recent_losses:
        return SlotHealth(
            slot, "lost_session", "the broker forgot its session within the last hour, with what was queued",
            "turn the broker's persistence on; `pledgewatch ingest gaps` shows what never came",
        )  # fmt: skip
    if row.recent_drops:
        return SlotHealth(
            slot, "dropping", "the broker threw messages away within the last hour: its queue was full",
            "raise max_queued_messages; `pledgewatch ingest gaps` shows what never came",
        )  # fmt: skip
    return SlotHealth(slot, "ok")
