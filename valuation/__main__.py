"""Wiring of the valuation process: `python -m valuation`."""

from __future__ import annotations

import signal
import sys
import threading

from core.logging import configure_logging
from core.settings import load_settings
from valuation.service.jobs import run_until, valuation_jobs


def main() -> None:
    """Mark to market and read market sources until SIGTERM or Ctrl-C."""
    settings = load_settings()
    configure_logging("valuation", json=settings.log_json)
    if settings.database_url is None:
        sys.exit("valuation: expected PLEDGEWATCH_DATABASE_URL, was not set (or run `pledgewatch up`)")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run_until(stop, settings.database_url, valuation_jobs(settings))


if __name__ == "__main__":
    main()
