"""SQL of fitted models. A model is written once; the same version again changes nothing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from core.errors import PledgewatchError

if TYPE_CHECKING:
    from core.db.pool import Connection
    from valuation.model.valuer import Model


def save_model(conn: Connection, model: Model) -> bool:
    """Store the model; a version stored already becomes the newest again. Returns whether it was new."""
    from valuation.model.artifact import to_bytes  # noqa: PLC0415 - as in model_of_version

    artifact = to_bytes(model)
    row = conn.execute(
        "INSERT INTO valuation_model (version, currency, channel, data_cut, rows, metrics, artifact, sha256)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (version) DO UPDATE SET fitted_at = clock_timestamp() RETURNING xmax = 0",
        (
            model.version,
            model.currency,
            model.channel,
            model.data_cut,
            model.rows,
            Jsonb(model.metrics),
            artifact,
            hashlib.sha256(artifact).digest(),
        ),
    ).fetchone()
    return bool(row and row[0])


def newest_model(conn: Connection, currency: str, channel: str) -> Model | None:
    """Return the model fitted last for a market, or None.

    Raises:
        PledgewatchError: its bytes are not those that were written.
    """
    row = conn.execute(
        "SELECT version FROM valuation_model WHERE currency = %s AND channel = %s"
        " ORDER BY fitted_at DESC, version LIMIT 1",
        (currency, channel),
    ).fetchone()
    return model_of_version(conn, row[0]) if row else None


def newest_version(conn: Connection, currency: str, channel: str) -> str | None:
    """Return the version that ``newest_model`` would load: cheap, to see whether a kept model is still it."""
    row = conn.execute(
        "SELECT version FROM valuation_model WHERE currency = %s AND channel = %s"
        " ORDER BY fitted_at DESC, version LIMIT 1",
        (currency, channel),
    ).fetchone()
    return str(row[0]) if row else None


def model_of_version(conn: Connection, version: str) -> Model | None:
    """Return one model, or None when there is no such version."""
    row = conn.execute(
        "SELECT artifact, sha256 FROM valuation_model WHERE version = %s", (version,)
    ).fetchone()
    if row is None:
        return None
    artifact, told = bytes(row[0]), bytes(row[1])
    if hashlib.sha256(artifact).digest() != told:
        raise PledgewatchError(
            f"Model {version}: expected the bytes that were written, was something else", code="model_damaged"
        )
    # Trees bring scikit-learn: two seconds for every process that may never value anything.
    from valuation.model.artifact import from_bytes  # noqa: PLC0415 - see above

    return from_bytes(artifact)


def markets(conn: Connection) -> list[tuple[str, str]]:
    """Return (currency, channel) of every market that has observations."""
    rows = conn.execute("SELECT DISTINCT currency, channel FROM market_observation ORDER BY 1, 2").fetchall()
    return [(str(currency), str(channel)) for currency, channel in rows]


def fitted_markets(conn: Connection) -> list[tuple[str, str]]:
    """Return (currency, channel) of every market that has a model."""
    rows = conn.execute("SELECT DISTINCT currency, channel FROM valuation_model ORDER BY 1, 2").fetchall()
    return [(str(currency), str(channel)) for currency, channel in rows]
