"""What it takes to receive and acknowledge alone: our transport beside paho's loops, turn by turn.

Neighbours come and go: who is compared in the same minute is compared fairly. The median round counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pledgewatch.bench.rig import CONSUMER, IngestRig, Run
from simulator.domain import DeviceReport

OURS = "receive_ack"
RECEIVING_PEERS = ("paho_loop", "paho_loop_311")


def run_receivers(
    rig: IngestRig, reports: Sequence[DeviceReport], rounds: int, tell: Callable[[str], None]
) -> dict[str, Run]:
    """Send the reports to each receiver in turn, so many rounds; return the median run of each."""
    runs: dict[str, list[Run]] = {kind: [] for kind in (OURS, *RECEIVING_PEERS)}
    for number in range(rounds):
        tell(f"receiving alone, round {number + 1} of {rounds}: {len(reports):,} reports to each receiver")
        for kind, those in runs.items():
            those.append(rig.through_consumer(kind, reports))
            if kind == OURS:
                rig.forget_session("bench-receive")
    return {kind: median_run(those) for kind, those in runs.items()}


def median_run(runs: Sequence[Run]) -> Run:
    """Return the run in the middle by the receiver's processor time (the lower of two)."""
    return sorted(runs, key=lambda run: run.cpu_us[CONSUMER])[(len(runs) - 1) // 2]
