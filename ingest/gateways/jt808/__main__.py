"""`python -m ingest.gateways.jt808`: serve terminals until SIGTERM."""

from __future__ import annotations

import asyncio
import sys

from prometheus_client import start_http_server

from core.errors import Misconfigured, PledgewatchError, Unavailable
from core.logging import configure_logging
from core.settings import Settings, load_settings
from ingest.gateways.jt808.gateway import serve, stop_on_signals, stop_on_thread_failure
from ingest.gateways.jt808.limits import Limits


def main() -> int:
    """Run the process; returns its exit code."""
    settings = load_settings()
    configure_logging("jt808", json=settings.log_json)
    if settings.jt808_metrics_port:
        start_http_server(settings.jt808_metrics_port, addr="127.0.0.1")
    try:
        asyncio.run(run(settings))
    except PledgewatchError as exc:
        print(f"jt808: {exc.message} [{exc.code}]", file=sys.stderr)
        return 2 if isinstance(exc, Misconfigured) else 1
    return 0


async def run(settings: Settings) -> None:
    """Serve until a signal.

    Raises:
        Misconfigured: a URL is missing, or a dialect has a mistake. Unavailable: a thread died.
    """
    stop = asyncio.Event()
    stop_on_signals(stop)
    failures = stop_on_thread_failure(stop)
    await serve(
        _set("DATABASE_URL", settings.database_url),
        _set("GATEWAY_MQTT_URL", settings.gateway_mqtt_url),
        settings.jt808_host,
        settings.jt808_port,
        Limits(connections=settings.jt808_connections),
        stop=stop,
        ready=lambda port: print(f"jt808: listening on {settings.jt808_host}:{port}", flush=True),
    )
    if failures:
        raise Unavailable(failures[0], code="thread_failed")


def _set(name: str, value: str | None) -> str:
    if value is None:
        raise Misconfigured(f"PLEDGEWATCH_{name}: expected a URL, was not set", code="url_missing")
    return value


if __name__ == "__main__":
    sys.exit(main())
