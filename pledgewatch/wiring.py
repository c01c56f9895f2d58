"""Which domain event concerns which room. Rooms never import each other sideways; this file does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from alerts.cases.actions import close_after_disposal
from alerts.intake import reprioritise
from auction.cases import actions as disposal
from collateral.devices.store import enrolments, spans
from collateral.provisioning import broker_accounts
from core.clock import to_ms, wall_now
from core.db.pool import Connection, connect
from core.errors import Unavailable
from core.events.store import DomainEvent
from core.policy.pack import load_pack
from core.telemetry.writing.store import move_reports
from geofence.domain import BEGINNING_MS
from geofence.store.replays import queue
from pledgewatch.embedded.probe import end_session
from valuation.inspections import actions as inspections
from valuation.inspections.domain import NewInspection
from valuation.service.backtest import record_disposal

if TYPE_CHECKING:
    from pledgewatch.embedded.stack import StackHandle

Handler = Callable[[Connection, DomainEvent], None]


def loan_moves_severity(conn: Connection, event: DomainEvent) -> None:
    """A loan that is overdue, paid or extended changes how urgent its vehicle's alerts are."""
    vehicle_id = event.payload.get("vehicle_id")
    if isinstance(vehicle_id, str):
        reprioritise(conn, vehicle_id)


def binding_moves_reports(conn: Connection, event: DomainEvent) -> None:
    """A device bound or moved after the fact takes its reports along, and both vehicles are judged again."""
    text = event.payload.get("since")
    since = datetime.fromisoformat(text) if isinstance(text, str) else None
    if move_reports(conn, event.subject, since, spans(conn, event.subject)):
        from_ms = BEGINNING_MS if since is None else to_ms(since)
        vehicles = (event.payload.get("vehicle_before"), event.payload.get("vehicle_after"))
        queue(conn, {vehicle: from_ms for vehicle in vehicles if isinstance(vehicle, str)}, "binding_changed")


def sale_closes_case(conn: Connection, event: DomainEvent) -> None:
    """A sale that is settled ends the recovery case it came from."""
    case_id = event.payload.get("recovery_case_id")
    if isinstance(case_id, str):
        close_after_disposal(conn, UUID(case_id), event.subject)


def yard_reads_the_odometer(conn: Connection, event: DomainEvent) -> None:
    """What the yard read off the instrument counts for the value, as an inspection does."""
    told = event.payload
    inspections.record(
        conn,
        NewInspection(
            vehicle_id=told["vehicle_id"],
            inspected_at=datetime.fromisoformat(told["in_yard_at"]),
            inspector=told["received_by"],
            odometer_km=told["odometer_km"],
            note="入库",
        ),
        "system:recovery",
        now=wall_now(),
    )


def release_redeems(conn: Connection, event: DomainEvent) -> None:
    """A vehicle that goes back to its pledgor is not sold: its lot is withdrawn, deposits go back."""
    disposal.redeem(
        conn,
        str(event.payload.get("reason", "released")),
        "system:recovery",
        recovery_case_id=UUID(event.subject),
    )


def publish_accounts(stack: StackHandle) -> bool:
    """Write the registry's devices into the broker's password file; false when that is not ours to do."""

    def accounts() -> list[tuple[str, str]]:
        with connect(stack.database_url, name="broker-sync") as conn:
            return broker_accounts(conn)

    return stack.publish_accounts(accounts)


def cut_off_revoked(conn: Connection, stack: StackHandle, device_id: str) -> bool:
    """End the broker session of a revoked device, with what waits in it; false when it was not reached.

    Comes after the accounts: cut off before, it would sign in again with the password it still had.
    """
    device = enrolments(conn, [device_id]).get(device_id)
    if device is None or not device.revoked:
        return True
    url = stack.live_mqtt_url
    return url is None or end_session(url, device_id)


def consumers(stack: StackHandle) -> Mapping[str, Mapping[str, Handler]]:
    """Return consumer name -> event kind -> handler. Each consumer keeps its own place in the log."""

    def credentials_reach_the_broker(conn: Connection, event: DomainEvent) -> None:
        publish_accounts(stack)
        if not cut_off_revoked(conn, stack, event.subject):
            raise Unavailable(
                f"Broker: expected to end the session of {event.subject}, was not reached",
                code="broker_unreachable",
            )

    def yard_opens_disposal(conn: Connection, event: DomainEvent) -> None:
        """A recovered vehicle in the yard gets a disposal case under the deployment's policy pack."""
        recovered_at = event.payload.get("recovered_at")
        disposal.open_for_yard(
            conn,
            recovery_case_id=UUID(event.subject),
            vehicle_id=event.payload["vehicle_id"],
            org_id=event.payload["org_id"],
            repossessed_at=datetime.fromisoformat(recovered_at) if recovered_at else None,
            pack=load_pack(stack.settings.policy_pack),
        )

    return {
        "severity": {"loan.changed": loan_moves_severity},
        "bindings": {"binding.changed": binding_moves_reports},
        "broker": {"device.credentials_changed": credentials_reach_the_broker},
        "disposal": {"case.in_yard": yard_opens_disposal, "case.released": release_redeems},
        "recovery": {"disposal.closed": sale_closes_case},
        "valuation": {"case.in_yard": yard_reads_the_odometer, "lot.hammered": record_disposal},
    }
