"""Which model speaks for a currency, kept in memory per process until a newer one is fitted."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from valuation.model.store import model_of_version, newest_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.db.pool import Connection
    from valuation.model.valuer import Model

AUCTION_PERMILLE: dict[str, int] = {"auction": 1000, "trade": 1000, "private": 900, "retail": 850}
"""What a vehicle brings at auction per 1,000 of each channel's price, in the order of preference.

Declared, not measured: no public pairs of asking and hammer price exist (reference/valuation.md 1). An
estimate made with one says so (`channel_factor`); a lender's own disposals replace it.
"""
KEPT = 4
"""Models in memory at most: two currencies, each with the one before for showing the step."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model, and what makes an auction value of its figure."""

    model: Model
    channel: str
    permille: int


class Models:
    """The models of this process, the last used ones; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, Model] = OrderedDict()

    def newest(self, conn: Connection, currency: str) -> Chosen | None:
        """Return the newest model of the best channel that has one in this currency."""
        for channel, permille in AUCTION_PERMILLE.items():
            version = newest_version(conn, currency, channel)
            model = None if version is None else self._get(conn, version)
            if model is not None:
                return Chosen(model, channel, permille)
        return None

    def of_version(self, conn: Connection, version: str) -> Chosen | None:
        """Return a model by its version, whatever is newest; None when it is gone."""
        model = self._get(conn, version)
        return None if model is None else Chosen(model, model.channel, AUCTION_PERMILLE[model.channel])

    def versions(self, conn: Connection, currencies: Iterable[str]) -> dict[str, str]:
        """Return currency -> version that values it now; an empty text where no model does."""
        said = {}
        for currency in currencies:
            found = (newest_version(conn, currency, channel) for channel in AUCTION_PERMILLE)
            said[currency] = next((version for version in found if version), "")
        return said

    def _get(self, conn: Connection, version: str) -> Model | None:
        with self._lock:  # held while loading: two threads must not load the same hundred megabytes
            model = self._kept.get(version)
            if model is None:
                model = model_of_version(conn, version)
                if model is None:
                    return None
                self._kept[version] = model
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(version)
            return model


PROCESS_MODELS = Models()
"""Shared by everything in one process; a model never changes once it has a version."""
