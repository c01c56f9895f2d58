"""Vendors that push: a signed POST, answered with success only after the broker took every report.

Whoever gets no 200 sends again; repeats are duplicates to ingest.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, to_thread
from fastapi.responses import JSONResponse
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.routing import Route

from core.clock import to_ms, wall_now
from core.errors import Misconfigured, PledgewatchError, Unavailable

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from ingest.gateways.vendor.source import Source

Forward = Callable[["Source", bytes], int]
"""Publish the items of a body and return how many there were; blocks until the broker has answered."""
BODY_WITHIN_S = 10.0
FRESH_S = 300
WAITING_AT_MOST = 8
"""Bodies held while the broker is waited for; the next sender is told to come back."""
_MEGABYTE = 1024 * 1024


def webhook_app(sources: Sequence[Source], forward: Forward) -> Starlette:
    """Return the application that receives pushes of these sources.

    Raises:
        Misconfigured: a secret is missing (``secret_missing``), or two sources share a path.
    """
    limiter = CapacityLimiter(1)  # one broker connection
    waiting = 0
    secrets = {source.name: _secret(source) for source in sources}

    def endpoint(source: Source) -> Callable[[Request], object]:
        async def receive(request: Request) -> Response:
            nonlocal waiting
            if waiting >= WAITING_AT_MOST:
                return _said(503, "busy", "Expected to be sent again later", {"Retry-After": "5"})
            waiting += 1
            try:
                body = await asyncio.wait_for(
                    _body(request, int(source.limits.most_page_mb * _MEGABYTE)), BODY_WITHIN_S
                )
                if body is None:
                    return _said(413, "too_large", f"Expected at most {source.limits.most_page_mb:g} MB")
                if not signed(source, secrets[source.name], request.headers, body):
                    return _said(401, "bad_signature", "Expected a valid, fresh signature")
                taken = await to_thread.run_sync(forward, source, body, limiter=limiter)
            except TimeoutError:
                return _said(408, "too_slow", f"Expected the body within {BODY_WITHIN_S:g} s")
            except ClientDisconnect:
                return _said(400, "cut_off", "Expected a whole body")
            except Unavailable as exc:
                return _said(503, exc.code, "Expected the broker, send it again", {"Retry-After": "5"})
            except PledgewatchError as exc:
                return _said(400, exc.code, exc.message)
            finally:
                waiting -= 1
            return JSONResponse({"accepted": taken})

        return receive

    paths = [source.push.path for source in sources if source.push is not None]
    if len(set(paths)) < len(paths):
        raise Misconfigured("Vendor sources: expected a path each, one is there twice", code="bad_source")
    return Starlette(
        routes=[
            Route(source.push.path, endpoint(source), methods=["POST"])
            for source in sources
            if source.push is not None
        ]
    )


def signed(source: Source, secret: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether the sender knows the secret, and says so now."""
    push = source.push
    if push is None:
        return False
    given = headers.get(push.header, "")
    if not given.startswith(push.prefix):
        return False
    given = given.removeprefix(push.prefix)
    content = body
    if push.time_header is not None:
        sent = headers.get(push.time_header, "")
        if not (sent.isascii() and sent.isdigit() and len(sent) <= 12):
            return False
        if abs(int(sent) - to_ms(wall_now()) // 1000) > FRESH_S:
            return False
        content = sent.encode() + b"." + body
    if push.scheme == "secret":
        return hmac.compare_digest(given.encode(), secret)
    expected = hmac.new(secret, content, hashlib.sha256).hexdigest()
    return hmac.compare_digest(given.lower().encode(), expected.encode())


async def _body(request: Request, most: int) -> bytes | None:
    """Return the body, None when it is longer than allowed; never holds more than that."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > most:
        return None
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)


def _secret(source: Source) -> bytes:
    name = source.push.secret_env if source.push else ""
    secret = os.environ.get(name, "").strip()
    if len(secret) < 16:
        raise Misconfigured(
            f"{source.label}: expected a secret of at least 16 characters in {name}", code="secret_missing"
        )
    return secret.encode()


def _said(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"code": code, "detail": detail}, status_code=status, headers=headers)
