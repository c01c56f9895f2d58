"""`python -m ingest`: serve the slots of the broker that are free, until SIGTERM."""

from __future__ import annotations

import sys

from prometheus_client import start_http_server

from core.clock import Clock
from core.errors import Misconfigured
from core.jobs import start_jobs
from core.logging import configure_logging
from core.settings import Settings, load_settings
from ingest.commands.sender import sending
from ingest.jobs import ingest_jobs
from ingest.slots.lease import Lease
from ingest.storing import Tools
from ingest.supervisor import Supervisor
from ingest.wiring import tools_of


def main() -> int:
    """Run the process; returns its exit code."""
    settings = load_settings()
    configure_logging("ingest", json=settings.log_json)
    try:
        supervisor = build(settings)
    except Misconfigured as exc:
        print(f"ingest: {exc.message} [{exc.code}]", file=sys.stderr)
        return 2
    if settings.ingest_metrics_port:
        start_http_server(settings.ingest_metrics_port, addr="127.0.0.1")
    supervisor.obey_signals()
    scheduler = start_jobs(settings.database_url or "", ingest_jobs(settings))
    with sending(settings):
        supervisor.run()
    scheduler.shutdown(wait=False)
    return 0


def build(settings: Settings) -> Supervisor:
    """Wire the process.

    Raises:
        Misconfigured: a URL is missing.
    """
    for name, value in (("DATABASE_URL", settings.database_url), ("MQTT_URL", settings.mqtt_url)):
        if value is None:
            raise Misconfigured(f"PLEDGEWATCH_{name}: expected a URL, was not set", code="url_missing")
    assert settings.database_url is not None  # noqa: S101 - checked above, by name
    assert settings.mqtt_url is not None  # noqa: S101

    def tools(clock: Clock, lease: Lease) -> Tools:
        return tools_of(settings, clock, lease=lease)

    return Supervisor(settings.database_url, settings.mqtt_url, settings, tools)


if __name__ == "__main__":
    sys.exit(main())
