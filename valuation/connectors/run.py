"""All declared sources, one after the other; one that fails does not hold up the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.errors import PledgewatchError
from core.feeds.fetching import open_client
from valuation.connectors import store
from valuation.connectors.pulling import PullResult, pull
from valuation.connectors.source import load_source

if TYPE_CHECKING:
    import httpx

    from core.db.pool import Connection
    from core.settings import Settings

_log = structlog.get_logger("market")


def source_files(settings: Settings) -> list[str]:
    """Return the files of PLEDGEWATCH_MARKET_SOURCES."""
    return [name.strip() for name in settings.market_sources.split(",") if name.strip()]


def pull_all(conn: Connection, settings: Settings, *, client: httpx.Client | None = None) -> list[PullResult]:
    """Pull what is due; ``conn`` is in autocommit mode. Failures are logged and kept with the source."""
    files = source_files(settings)
    if not files:
        return []
    results = []
    asked = client or open_client()
    try:
        for file in files:
            try:
                source = load_source(file)
                if store.is_resting(conn, source.name):
                    _log.info("market_source_resting", source=source.name)
                    continue
                result = pull(conn, source, asked)
            except PledgewatchError as exc:
                _log.warning("market_source_failed", file=file, code=exc.code, error=exc.message)
                continue
            _log.info("market_source_pulled", source=result.source, outcome=result.outcome, kept=result.kept)
            results.append(result)
    finally:
        if client is None:
            asked.close()
    return results
