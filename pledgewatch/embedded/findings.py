"""What one examination of doctor says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# missing: `up` cannot run; note: it runs, with a difference worth knowing.
Verdict = Literal["ok", "note", "missing"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line: the part, what was found, and what to do about it."""

    part: str
    verdict: Verdict
    found: str
    fix: str = ""
