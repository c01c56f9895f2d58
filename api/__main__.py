"""Wiring of the API process: `python -m api`."""

from __future__ import annotations

import signal
import socket
import sys

import structlog

from api.app import create_app
from api.server import Server
from core.db.pool import open_pool
from core.errors import Misconfigured, PledgewatchError
from core.logging import configure_logging
from core.settings import Settings, load_settings
from core.telemetry.clock import open_clock

POOL_SIZE = 12


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = load_settings()
    configure_logging("api", json=settings.log_json)
    try:
        serve(settings)
    except PledgewatchError as exc:
        sys.exit(f"api: {exc.message}")


def serve(settings: Settings) -> None:
    """Open what the application needs, and close it after the server has stopped."""
    if not settings.database_url:
        raise Misconfigured("PLEDGEWATCH_DATABASE_URL: expected a database URL, was empty")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.http_host, settings.http_port))
    except OSError as exc:
        raise Misconfigured(
            f"PLEDGEWATCH_HTTP_PORT: expected port {settings.http_port} on {settings.http_host} to be free: "
            f"{exc.strerror}",
            code="port_busy",
        ) from exc
    with open_pool(settings.database_url, name="api", max_size=POOL_SIZE) as pool:
        with pool.connection() as conn:
            clock = open_clock(conn, settings)
        host, port = listener.getsockname()[:2]
        structlog.get_logger("api").info("started", url=f"http://{host}:{port}")
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn raises the signal again once it has ended; that is the end we wanted, not a failure.
            signal.signal(number, lambda *_: None)
        Server(create_app(settings, pool, clock), host=host, port=port).run(sockets=[listener])


if __name__ == "__main__":
    main()
