"""One page over HTTP: rate limited, retried, bounded, and believed only when it is whole and JSON."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from core.clock import monotonic
from core.errors import Misconfigured, Upstream
from core.feeds.pace import TokenBucket, backoff_s, retry_after_s, wait

if TYPE_CHECKING:
    from core.feeds.declared import Feed

MOST_REDIRECTS = 5
USER_AGENT = "pledgewatch/1"
_MEGABYTE = 1024 * 1024
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: its bytes, or none of them when the source says that nothing changed."""

    body: bytes
    unchanged: bool
    etag: str | None
    last_modified: str | None
    link_next: str | None
    url: str


class _Again(Exception):
    """The attempt failed in a way that another may not."""

    def __init__(self, error: Upstream, after_s: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.after_s = after_s


class Fetcher:
    """Asks one source. ``waiting`` and ``chance`` are parameters so that tests need no patience."""

    def __init__(
        self,
        source: Feed,
        client: httpx.Client,
        *,
        waiting: Callable[[float], None] = wait,
        chance: random.Random | None = None,
    ) -> None:
        self._source = source
        self._client = client
        self._waiting = waiting
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        limits = source.limits
        self._bucket = TokenBucket(limits.requests_per_s, limits.burst, wait=waiting)
        self._origin = _origin(httpx.URL(source.url))
        self._headers = {"Accept": "application/json", "User-Agent": USER_AGENT, **_token(source)}

    def get(self, url: str, *, etag: str | None = None, last_modified: str | None = None) -> Page:
        """Return a page, after as many attempts as the source's limits allow.

        Raises:
            Upstream: it did not come, or is not what was declared; the code says which.
        """
        headers = dict(self._headers)
        if etag:
            headers["If-None-Match"] = etag
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        limits = self._source.limits
        for attempt in range(1, limits.attempts + 1):
            try:
                return self._follow(url, headers)
            except _Again as failed:
                pause = failed.after_s
                if attempt == limits.attempts or (pause or 0) > limits.longest_wait_s:
                    raise failed.error from failed
                self._waiting(
                    backoff_s(attempt, limits.longest_wait_s, self._chance) if pause is None else pause
                )
        raise AssertionError("attempts is above zero")

    def _follow(self, url: str, headers: dict[str, str]) -> Page:
        """Ask, and follow redirects as long as they stay on the declared host."""
        for _ in range(MOST_REDIRECTS + 1):
            self.check_origin(url)
            self._bucket.take()
            answer = self._once(url, headers)
            if isinstance(answer, Page):
                return answer
            url = answer
        raise self._error("too_many_redirects", f"expected at most {MOST_REDIRECTS} redirects, was more")

    def joined(self, base: str, link: str) -> str:
        """Return the address that a link on the page ``base`` leads to."""
        try:
            return str(httpx.URL(base).join(link))
        except (httpx.InvalidURL, ValueError) as exc:
            raise self._error("foreign_address", f"expected a web address, was {link!r}") from exc

    def check_origin(self, url: str) -> None:
        """Refuse an address beyond the declared scheme, host and port.

        The token would go with the request, and an address of our own network could be asked from inside.
        """
        origin = _origin(httpx.URL(url))
        if origin != self._origin:
            raise self._error(
                "foreign_address",
                f"expected to stay on {'{}://{}:{}'.format(*self._origin)}, was sent to {'{}://{}:{}'.format(*origin)}",
            )

    def _once(self, url: str, headers: dict[str, str]) -> Page | str:
        """Return the page, or the address of a redirect."""
        deadline = monotonic() + self._source.limits.timeout_s
        try:
            with self._client.stream(
                "GET",
                url,
                headers=headers,
                follow_redirects=False,
                timeout=httpx.Timeout(self._source.limits.timeout_s),
            ) as answer:
                if answer.has_redirect_location:  # 304 is no redirect, and httpx counts it as one
                    return self.joined(url, answer.headers["Location"])
                self._check_status(answer)
                body = b"" if answer.status_code == httpx.codes.NOT_MODIFIED else self._body(answer, deadline)
                return Page(
                    body=body,
                    unchanged=answer.status_code == httpx.codes.NOT_MODIFIED,
                    etag=answer.headers.get("ETag"),
                    last_modified=answer.headers.get("Last-Modified"),
                    link_next=answer.links.get("next", {}).get("url"),
                    url=url,
                )
        except httpx.TimeoutException as exc:
            raise _Again(self._error("timed_out", self._too_slow())) from exc
        except httpx.RemoteProtocolError as exc:
            raise _Again(self._error("truncated", f"expected a whole answer: {exc}")) from exc
        except httpx.DecodingError as exc:
            raise _Again(self._error("truncated", f"expected a readable encoding: {exc}")) from exc
        except httpx.TransportError as exc:
            raise _Again(self._error("unreachable", f"expected an answer: {exc}")) from exc

    def _check_status(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status in {httpx.codes.OK, httpx.codes.NOT_MODIFIED}:
            return
        error = self._error("http_status", f"expected 200, was {status}", http_status=status)
        if status in _RETRIED:
            raise _Again(error, retry_after_s(answer.headers.get("Retry-After")))
        raise error

    def _body(self, answer: httpx.Response, deadline: float) -> bytes:
        kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            raise self._error("wrong_content_type", f"expected application/json, was {kind or 'nothing'!r}")
        most = int(self._source.limits.most_page_mb * _MEGABYTE)
        parts, size = [], 0
        for part in answer.iter_bytes():
            size += len(part)
            if size > most:
                raise self._error("too_large", f"expected at most {most} bytes a page, was more")
            if monotonic() > deadline:
                raise _Again(self._error("timed_out", self._too_slow()))
            parts.append(part)
        return b"".join(parts)

    def _too_slow(self) -> str:
        return f"expected an answer within {self._source.limits.timeout_s:g} s"

    def _error(self, code: str, message: str, **facts: object) -> Upstream:
        return Upstream(f"{self._source.label}: {message}", code=code, **facts)


def open_client() -> httpx.Client:
    """Return a client for pulls; the caller closes it."""
    return httpx.Client(
        follow_redirects=False, limits=httpx.Limits(max_connections=4, max_keepalive_connections=2)
    )


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host.lower(), url.port or (443 if url.scheme == "https" else 80)


def _token(source: Feed) -> dict[str, str]:
    if source.auth is None:
        return {}
    token = os.environ.get(source.auth.env, "").strip()
    if not token:
        raise Misconfigured(
            f"{source.label}: expected the token in {source.auth.env}, was empty",
            code="token_missing",
        )
    return {source.auth.header: f"{source.auth.scheme} {token}".strip()}
