"""Headers of every answer: what the browser may load, and that nothing personal is cached.

The policy allows our own files, one import map with a nonce, and the hosts of the configured base map.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from core.settings import Settings


def map_origins(settings: Settings) -> list[str]:
    """Return the origins of the configured base map, if they are others than ours."""
    origins = set()
    for url in (settings.map_style_url, settings.map_tile_url, settings.map_pmtiles_url):
        parts = urlsplit(url or "")
        if parts.scheme in {"http", "https"} and parts.netloc:
            origins.add(f"{parts.scheme}://{parts.netloc}")
    return sorted(origins)


def policy(nonce: str, origins: list[str]) -> str:
    """Return the Content-Security-Policy."""
    hosts = "".join(f" {origin}" for origin in origins)
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; worker-src 'self'; "
        f"connect-src 'self'{hosts}; "
        f"img-src 'self' data: blob:{hosts}; style-src 'self'; font-src 'self'; manifest-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


class SecurityHeaders:
    """Adds them; plain ASGI, so that streams pass through unbuffered."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._origins = map_origins(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        scope.setdefault("state", {})["nonce"] = nonce
        static = scope["path"].startswith("/static/")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = policy(nonce, self._origins)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers["Permissions-Policy"] = "geolocation=(self), camera=(), microphone=()"
                if not static:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)
