"""`pledgewatch events`: the process that dispatches domain events."""

from __future__ import annotations

import typer

app = typer.Typer()


@app.command()
def events(
    once: bool = typer.Option(False, "--once", help="Dispatch what is waiting, then end."),
) -> None:
    """Dispatch domain events until stopped.

    Example: pledgewatch events --once
    """
    import signal
    import threading

    import psycopg
    import structlog

    from core.db.pool import connect
    from core.events.dispatch import dispatch_once
    from core.settings import load_settings
    from pledgewatch.embedded.stack import open_stack
    from pledgewatch.wiring import consumers, publish_accounts

    log = structlog.get_logger("events")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    settings = load_settings()
    with open_stack(settings) as stack:
        handlers = consumers(stack)
        if settings.mqtt_password_file is not None:
            publish_accounts(stack)  # the broker waits for its first password file
        while not stop.is_set():
            try:
                with connect(stack.database_url, name="events", autocommit=True) as conn:
                    while not stop.is_set():
                        passed = sum(dispatch_once(conn, name, kinds) for name, kinds in handlers.items())
                        if passed == 0:
                            if once:
                                return
                            stop.wait(0.5)
            except psycopg.OperationalError as exc:
                if once:
                    raise
                log.warning("database_away", error=str(exc).strip())
                stop.wait(1.0)
