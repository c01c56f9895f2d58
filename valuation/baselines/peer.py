"""What a baseline is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from valuation.model.rows import Floats
    from valuation.model.valuer import Model


@dataclass(frozen=True, slots=True)
class Baseline:
    """A name, and a way to value ``asked`` as of ``days`` from what was ``known``."""

    name: str
    value: Callable[[Model, pa.Table, pa.Table, Any], Floats]
