"""One pull of one source: fetch everything, then store all of it in one transaction.

No transaction is open while the network is waited for.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import httpx

from core.errors import Misconfigured, PledgewatchError, Upstream
from core.feeds.fetching import Fetcher, Page
from core.feeds.pace import wait
from valuation.connectors import store
from valuation.connectors.pages import as_table, check_fields, read_page
from valuation.intake.normalise import require
from valuation.market import store as market_store
from valuation.market.admitting import ImportResult, Intake
from valuation.market.importing import NEEDED

if TYPE_CHECKING:
    from core.db.pool import Connection
    from valuation.connectors.source import Source

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PullResult:
    """How a pull ended: ``stored``, ``unchanged`` (the source says so) or ``repeated`` (the bytes say so)."""

    source: str
    outcome: Literal["stored", "unchanged", "repeated"]
    pages: int
    rows: int
    kept: int
    duplicate: int
    quarantined: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Feed:
    first: Page
    pages: int
    items: list[dict[str, Any]]
    sha256: bytes


def pull(
    conn: Connection,
    source: Source,
    client: httpx.Client,
    *,
    waiting: Callable[[float], None] = wait,
    chance: random.Random | None = None,
) -> PullResult:
    """Ask the source for what is new and store it; ``conn`` is in autocommit mode.

    Raises:
        Misconfigured: the declaration cannot work (token missing, a needed column not mapped).
        Upstream: the source answered badly; recorded in market_source_state, nothing else stored.
    """
    if not conn.autocommit:
        raise Misconfigured("pull: expected a connection in autocommit mode", code="needs_autocommit")
    require(source.mapping, list(source.mapping.columns), NEEDED)
    try:
        fetcher = Fetcher(source, client, waiting=waiting, chance=chance)
        before = store.get_state(conn, source.name)
        first = fetcher.get(
            source.url,
            etag=before.etag if before else None,
            last_modified=before.last_modified if before else None,
        )
        if first.unchanged:
            if before is None:
                raise Upstream(
                    f"Market source {source.name}: expected data, was 304 without being asked",
                    code="http_status",
                )
            store.record_success(
                conn, source.name, etag=before.etag, last_modified=before.last_modified, payload_sha256=None
            )
            return PullResult(source.name, "unchanged", 0, 0, 0, 0, {})
        feed = _gather(first, source, fetcher)
        check_fields(feed.items, source)
        with conn.transaction():
            result = _store(conn, source, feed)
            if result.rows and not result.usable:
                # Taken for good, it would not be asked for again before it changes.
                reasons = ", ".join(f"{count} {reason}" for reason, count in result.quarantined.items())
                raise _error(source, "schema_drift", f"expected usable rows, was {reasons}")
            store.record_success(
                conn,
                source.name,
                etag=first.etag,
                last_modified=first.last_modified,
                payload_sha256=feed.sha256,
            )
    except PledgewatchError as exc:
        store.record_failure(conn, source.name, code=exc.code, message=exc.message)
        raise
    return PullResult(
        source.name,
        "repeated" if result.already_imported else "stored",
        feed.pages,
        result.rows,
        result.kept,
        result.duplicate,
        result.quarantined,
    )


def _gather(first: Page, source: Source, fetcher: Fetcher) -> _Feed:
    """Fetch the pages to the last one."""
    limits = source.limits
    digest = hashlib.sha256()
    items: list[dict[str, Any]] = []
    seen = {first.url}
    page, pages, size = first, 0, 0
    while True:
        pages += 1
        size += len(page.body)
        if size > limits.most_total_mb * _MEGABYTE:
            raise _error(source, "too_large", f"expected at most {limits.most_total_mb:g} MB, was more")
        digest.update(len(page.body).to_bytes(8, "big") + page.body)
        found, link = read_page(page.body, source)
        items += found
        link = link or page.link_next
        if link is None:
            return _Feed(first, pages, items, digest.digest())
        url = fetcher.joined(page.url, link)
        if url in seen:
            raise _error(source, "endless_pages", f"expected new pages, was sent back to {link!r}")
        if pages >= limits.most_pages:
            raise _error(source, "endless_pages", f"expected at most {limits.most_pages} pages, was more")
        seen.add(url)
        page = fetcher.get(url)
        if page.unchanged:
            raise _error(source, "http_status", "expected a page, was 304 without being asked")


def _store(conn: Connection, source: Source, feed: _Feed) -> ImportResult:
    market_store.lock_imports(conn)
    before = market_store.find_import(conn, feed.sha256, source.mapping.sha256)
    if before is not None:
        return ImportResult(
            before.import_id, before.rows_read, 0, before.kept + before.duplicate, before.quarantined, True
        )
    intake = Intake(source.mapping)
    intake.take(as_table(feed.items, source))
    return intake.store(conn, name=source.name, file_sha256=feed.sha256)


def _error(source: Source, code: str, message: str) -> Upstream:
    return Upstream(f"Market source {source.name}: {message}", code=code)
