"""States as they are now: a stored state may lack the last minutes of its vehicle, and its reports have them.

The live writer saves a state every few minutes of event time only. Whoever reads one from its row
judges what was stored since; the findings of that stand already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.domain.report import Report
from geofence.engine import advance
from geofence.inputs import newer_of_many, through_ms
from geofence.store import replays as replay_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.db.pool import Connection
    from geofence.domain import VehicleFacts
    from geofence.index import Context
    from geofence.inputs import Input
    from geofence.state import VehicleState

_log = structlog.get_logger("rules")


def catch_up(
    conn: Connection,
    states: Mapping[str, VehicleState],
    facts: Mapping[str, VehicleFacts],
    context: Context,
    ours: Mapping[str, Sequence[Report]],
    *,
    derive_marks: bool,
) -> tuple[dict[str, VehicleState], set[str]]:
    """Return the states with everything stored since, and the vehicles on whose inputs the engine failed.

    ``ours`` are reports of this transaction, not yet judged. The caller holds the rows' locks. Those that
    failed keep their stored state and are queued: the replayer tells what was missed once it is mended.
    """
    judged = {vehicle_id: state for vehicle_id, state in states.items() if state.devices}
    inputs = newer_of_many(conn, judged) if judged else {}
    result = dict(states)
    failed: dict[str, int] = {}
    for vehicle_id, items in inputs.items():
        state = states[vehicle_id]
        own = {report.order for report in ours.get(vehicle_id, ())}
        earlier: list[Input] = [
            item for item in items if not (isinstance(item, Report) and item.order in own)
        ]
        try:
            made = advance(state, earlier, facts[vehicle_id], context, derive_marks=derive_marks)
        except Exception as exc:  # noqa: BLE001 - one vehicle's poison must not keep its neighbours from their rules
            _log.exception("catch_up_failed", vehicle_id=vehicle_id, error=str(exc))
            failed[vehicle_id] = through_ms(state)
        else:
            result[vehicle_id] = made.state
    replay_store.queue(conn, failed, "engine_failure")
    return result, set(failed)
