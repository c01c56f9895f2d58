"""Wiring of the alerts process: `python -m alerts`."""

from __future__ import annotations

import signal
import sys
import threading

from alerts.delivery.channels import open_channels
from alerts.service import run_intake, run_sender
from core.errors import PledgewatchError
from core.logging import configure_logging
from core.settings import load_settings


def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    settings = load_settings()
    configure_logging("alerts", json=settings.log_json)
    if settings.database_url is None:
        sys.exit("alerts: expected PLEDGEWATCH_DATABASE_URL, was not set (or run `pledgewatch up`)")
    try:
        secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else None
        channels = open_channels(settings.notify_urls, secret)
    except PledgewatchError as exc:
        sys.exit(f"alerts: {exc.message}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sender = threading.Thread(
        target=run_sender, args=(settings.database_url, channels, stop), name="sender", daemon=True
    )
    sender.start()
    run_intake(settings, settings.database_url, channels, stop)
    sender.join(timeout=15)


if __name__ == "__main__":
    main()
