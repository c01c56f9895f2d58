"""Devices and bindings in memory, read again whenever the registry changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collateral import bindings
from collateral.devices.store import bindings_version

if TYPE_CHECKING:
    from collateral.bindings import Bindings
    from core.db.pool import Connection


class BindingCache:
    """The bindings at one revision; the revision is checked inside each batch's transaction."""

    def __init__(self) -> None:
        self._bindings: Bindings | None = None

    def current(self, conn: Connection) -> Bindings:
        """Return the bindings as this transaction sees them."""
        if self._bindings is None or self._bindings.version != bindings_version(conn):
            self._bindings = bindings.load(conn)
        return self._bindings
