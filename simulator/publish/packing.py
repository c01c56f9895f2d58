"""Reports that are due together become messages: arrays of one device, of one kind, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.topics import MAX_PAYLOAD_BYTES, MAX_REPORTS_PER_MESSAGE
from simulator.domain import DeviceReport


@dataclass(slots=True)
class Shipment:
    """One message: reports of one device that share a topic. Sent again with the same bytes."""

    device_id: str
    kind: str
    reports: list[DeviceReport]
    bytes_used: int
    tries: int = 0

    def payload(self) -> bytes:
        """Return an object for one report, an array for several; each with its own bytes untouched."""
        if len(self.reports) == 1:
            return self.reports[0].body
        return b"[" + b",".join(report.body for report in self.reports) + b"]"


def pack(due: Iterable[DeviceReport], most: int = MAX_REPORTS_PER_MESSAGE) -> list[Shipment]:
    """Group reports (in send order) into messages of at most ``most``; each device keeps its order."""
    shipments: list[Shipment] = []
    current: dict[str, Shipment] = {}
    for report in due:
        shipment = current.get(report.device_id)
        size = len(report.body) + 1
        if (
            shipment is None
            or shipment.kind != report.kind
            or len(shipment.reports) >= most
            or shipment.bytes_used + size > MAX_PAYLOAD_BYTES
        ):
            shipment = Shipment(report.device_id, report.kind, [], 2)
            current[report.device_id] = shipment
            shipments.append(shipment)
        shipment.reports.append(report)
        shipment.bytes_used += size
    return shipments
