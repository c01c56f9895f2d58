"""What an import says back: counts, or every fault by line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from core.errors import Rejected


class Fault(NamedTuple):
    """What is wrong in a file, where. ``line`` counts from 1, the header; ``column`` as the file calls it."""

    line: int
    column: str
    code: str
    message: str


class BadFile(Rejected):
    """The file cannot be read as a table at all."""

    default_code = "bad_file"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The outcome for a file. With ``errors`` nothing of it is stored."""

    kind: str
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    errors: list[Fault] = field(default_factory=list)
    ignored_columns: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the file was stored."""
        return not self.errors
