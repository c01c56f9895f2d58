"""`python -m ingest.gateways.vendor`: pull and receive the declared vendor clouds until SIGTERM."""

from __future__ import annotations

import sys

from core.errors import Misconfigured
from core.logging import configure_logging
from core.settings import load_settings
from ingest.gateways.vendor.gateway import run


def main() -> int:
    """Run the process; returns its exit code."""
    settings = load_settings()
    configure_logging("vendor", json=settings.log_json)
    try:
        run(settings)
    except Misconfigured as exc:
        print(f"vendor: {exc.message} [{exc.code}]", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
