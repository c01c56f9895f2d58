"""A seeded day of a fleet with labelled incidents, and the table of which of them raised their alert."""

from __future__ import annotations

import contextlib
import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.deployment import Deployment
from tests.fix_stack import eventually

RATE = 900
SEED = 20
VEHICLES = 300
INCIDENTS = 40
RULES_WAIT_S = 120.0

Key = tuple[str, str, str]
"""(vehicle, rule, scope): what an alert is about."""


def scaled_clock() -> str:
    """Return a clock setting that starts two days ago, so that a day passes before it meets now."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    return f"scaled:{start.isoformat()}:{RATE}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Labels against alerts."""

    labels: dict[Key, list[str]]
    alerts: set[Key]

    @property
    def missed(self) -> set[Key]:
        """Labelled risks without an alert."""
        return set(self.labels) - self.alerts

    @property
    def unlabelled(self) -> set[Key]:
        """Alerts that no label explains."""
        return self.alerts - set(self.labels)

    def table(self) -> str:
        """Return a row per rule: labelled, raised, missed, unlabelled."""
        rules = sorted({rule for _, rule, _ in set(self.labels) | self.alerts})
        lines = [f"{'rule':24}{'labelled':>10}{'raised':>10}{'missed':>10}{'unlabelled':>12}"]
        for rule in rules:
            labelled = {key for key in self.labels if key[1] == rule}
            raised = {key for key in self.alerts if key[1] == rule}
            lines.append(
                f"{rule:24}{len(labelled):>10}{len(raised & labelled):>10}"
                f"{len(labelled - raised):>10}{len(raised - labelled):>12}"
            )
        return "\n".join(lines)


def simulate_arguments(folder: Path) -> list[str]:
    """Return the command line of the day; it writes labels.csv and acks.csv into the folder."""
    return [
        "simulate", "--vehicles", str(VEHICLES), "--incidents", str(INCIDENTS), "--seed", str(SEED),
        "--duration", "24h", "--labels", str(folder / "labels.csv"), "--acklog", str(folder / "acks.csv"),
    ]  # fmt: skip


def read_labels(path: Path) -> dict[Key, list[str]]:
    """Return the kinds of incident behind each (vehicle, rule, scope)."""
    found: dict[Key, list[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["vehicle_id"], row["rule"], row["scope"]), []).append(row["kind"])
    return found


def judge(stack: Deployment, labels: Path) -> Verdict:
    """Wait until the rules are at rest, then compare."""
    wanted = read_labels(labels)

    def raised() -> set[Key]:
        rows = stack.query(
            "SELECT vehicle_id, rule, scope FROM alert"
            " WHERE resolution IS DISTINCT FROM 'disproved_by_late_data'"
        )
        return {(str(vehicle), str(rule), str(scope)) for vehicle, rule, scope in rows}

    # A label without its alert must end in the table of the verdict, not in a time-out here.
    with contextlib.suppress(pytest.fail.Exception):
        eventually(lambda: stack.rules_at_rest() and set(wanted) <= raised(), within_s=RULES_WAIT_S)
    return Verdict(wanted, raised())
