"""One pull: page by page, to the broker, and only then onwards.

No transaction is open while the network is waited for. A crash anywhere asks for the same page again,
and ingest knows its reports already.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from core.errors import Misconfigured, PledgewatchError, Unavailable, Upstream
from core.feeds.fetching import Fetcher
from core.feeds.pace import wait
from ingest.gateways.vendor import store
from ingest.gateways.vendor.reading import ABSENT, at, items_of, messages_of, read_item
from ingest.link import TAKEN, Letter, Link

if TYPE_CHECKING:
    from core.db.pool import Connection
    from ingest.gateways.vendor.source import Pull, Source

AT_ONCE = 500


class Pulled(NamedTuple):
    """What a pull brought."""

    pages: int
    items: int
    unreadable: int
    cursor: str | None


def pull(
    conn: Connection,
    source: Source,
    client: httpx.Client,
    link: Link,
    *,
    waiting: Callable[[float], None] = wait,
    chance: random.Random | None = None,
) -> Pulled:
    """Take over what is new; ``conn`` is in autocommit mode.

    Raises:
        Misconfigured: the source is not pulled, or its token is missing.
        Upstream: the vendor answered badly. Unavailable: the broker did not take it. Recorded, cursor kept.
    """
    declared = source.pull
    if declared is None:
        raise Misconfigured(f"{source.label}: expected [pull]", code="not_pulled")
    try:
        fetcher = Fetcher(source, client, waiting=waiting, chance=chance)
        cursor = store.cursor_of(conn, source.name) or declared.start
        pages = items = unreadable = 0
        while True:
            if pages >= source.limits.most_pages:
                raise _endless(source, f"expected at most {source.limits.most_pages} pages, was more")
            answer = fetcher.get(_address(declared, cursor))
            if answer.unchanged:
                raise Upstream(f"{source.label}: expected 200, was 304", code="http_status")
            page, found = items_of(answer.body, source)
            following = _following(page, found, source, declared, cursor)
            unreadable += forward(link, source, found)
            store.record_success(conn, source.name, following, len(found))
            pages, items = pages + 1, items + len(found)
            more = declared.more is not None and at(page, declared.more) is True
            if more and following == cursor:
                raise _endless(source, f"expected another cursor than {cursor!r} for the next page")
            cursor = following
            if not more:
                return Pulled(pages, items, unreadable, cursor)
    except PledgewatchError as exc:
        store.record_failure(conn, source.name, code=exc.code, message=exc.message)
        raise


def forward(link: Link, source: Source, items: Sequence[dict[str, Any]]) -> int:
    """Publish items, and wait until the broker has taken all of them; returns how many were unreadable.

    Raises:
        Unavailable: the broker is away, or had nobody to give a message to (``broker_unavailable``).
    """
    reports = [read_item(item, source) for item in items]
    letters = [Letter(topic, payload) for topic, payload in messages_of(reports)]
    for start in range(0, len(letters), AT_ONCE):
        try:
            reasons = link.publish(letters[start : start + AT_ONCE])
        except OSError as exc:
            raise Unavailable(
                f"{source.label}: the broker is away: {exc}", code="broker_unavailable"
            ) from exc
        bad = [reason for reason in reasons if reason != TAKEN]
        if bad:
            raise Unavailable(
                f"{source.label}: expected the broker to take {len(reasons)} messages, {len(bad)} it did not "
                f"(first reason {bad[0]})",
                code="broker_unavailable",
            )
    return sum(not report.good for report in reports)


def _address(declared: Pull, cursor: str | None) -> str:
    url = httpx.URL(declared.url)
    return str(url if cursor is None else url.copy_merge_params({declared.cursor: cursor}))


def _following(
    page: Any, items: Sequence[dict[str, Any]], source: Source, declared: Pull, before: str | None
) -> str | None:
    """Return the cursor after a page.

    Raises:
        Upstream: it is not where the declaration says (``schema_drift``).
    """
    if declared.next is not None:
        found = at(page, declared.next)
        if found is ABSENT or isinstance(found, dict | list):
            raise Upstream(
                f"{source.label}: expected a cursor at {declared.next!r}, was none", code="schema_drift"
            )
        return before if found is None or found == "" else _cursor(str(found), source)
    values = [at(item, declared.newest or "") for item in items]
    if any(value is ABSENT or value is None or isinstance(value, dict | list | bool) for value in values):
        raise Upstream(f"{source.label}: expected {declared.newest!r} in every item", code="schema_drift")
    texts = [_cursor(str(value), source) for value in values] + ([] if before is None else [before])
    if not texts:
        return None
    return max(texts, key=int) if all(text.isdigit() and text.isascii() for text in texts) else max(texts)


def _cursor(text: str, source: Source) -> str:
    """Return a cursor that the database can keep."""
    if "\x00" in text:
        raise Upstream(f"{source.label}: expected a cursor without NUL, was {text!r}", code="schema_drift")
    return text


def _endless(source: Source, message: str) -> Upstream:
    return Upstream(f"{source.label}: {message}", code="endless_pages")
