"""Wiring of the auction process: `python -m auction`."""

from __future__ import annotations

import signal
import sys
import threading

from auction.service import run_sweeper
from core.logging import configure_logging
from core.settings import load_settings


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    settings = load_settings()
    configure_logging("auction", json=settings.log_json)
    if settings.database_url is None:
        sys.exit("auction: expected PLEDGEWATCH_DATABASE_URL, was not set (or run `pledgewatch up`)")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run_sweeper(settings.database_url, stop, production=settings.env == "production")


if __name__ == "__main__":
    main()
