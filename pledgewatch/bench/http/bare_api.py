"""The peer of `bench api`: the same vehicle list as a bare FastAPI route, without sign-in, models or scopes.

`/pooled` keeps connections; `/connect` opens one for every request, as first versions do.
`python -m pledgewatch.bench.http.bare_api`
"""

from __future__ import annotations

from typing import Any

import uvicorn
from fastapi import FastAPI

from core.db.pool import connect, open_pool
from core.settings import load_settings
from pledgewatch.bench.http.store import bare_vehicles

POOL_SIZE = 12


def main() -> None:
    """Serve until a signal."""
    settings = load_settings()
    url = settings.database_url or ""
    pool = open_pool(url, name="bare", max_size=POOL_SIZE)
    app = FastAPI()

    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/pooled")
    def pooled(limit: int = 50) -> list[dict[str, Any]]:
        with pool.connection() as conn:
            return bare_vehicles(conn, limit)

    @app.get("/connect")
    def each_time(limit: int = 50) -> list[dict[str, Any]]:
        with connect(url, name="bare") as conn:
            return bare_vehicles(conn, limit)

    uvicorn.run(app, host=settings.http_host, port=settings.http_port, log_level="warning", access_log=False)
    pool.close()


if __name__ == "__main__":
    main()
