"""What kind of failure a database error is: wait and try again, or the fault of a row."""

from __future__ import annotations

from enum import StrEnum

import psycopg

_TRANSIENT_CLASSES = ("08", "40", "53", "55", "57", "58", "25")
_DATA_CLASSES = ("22", "23")


class LeaseLost(Exception):
    """Another worker holds the slot now, or nobody does: this one may not commit."""


class Fault(StrEnum):
    """What to do about a failed transaction."""

    TRANSIENT = "transient"  # the same batch again, in order, until it succeeds
    DATA = "data"  # look for the row
    UNKNOWN = "unknown"  # as transient, and tell somebody


def classify(error: BaseException) -> Fault:
    """Tell a database that is away from data that it cannot hold."""
    if not isinstance(error, psycopg.Error):
        return Fault.UNKNOWN
    state = error.sqlstate
    if state is None:
        # The driver's own errors: a lost connection, or a value that it could not send.
        return Fault.TRANSIENT if isinstance(error, psycopg.OperationalError) else Fault.UNKNOWN
    if state.startswith(_DATA_CLASSES):
        return Fault.DATA
    if state.startswith(_TRANSIENT_CLASSES):
        return Fault.TRANSIENT
    return Fault.UNKNOWN
