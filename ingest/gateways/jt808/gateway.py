"""The process put together: directory, broker, server, and how it starts and stops."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable

import structlog

from core.errors import Unavailable
from ingest.gateways.jt808 import metrics
from ingest.gateways.jt808.dialects import load_dialects
from ingest.gateways.jt808.directory import Directory
from ingest.gateways.jt808.hub import Hub
from ingest.gateways.jt808.limits import Limits
from ingest.gateways.jt808.server import Server
from ingest.gateways.publishing import Publisher

REFRESH_EVERY_S = 2.0
DRAIN_S = 5.0

_log = structlog.get_logger("jt808")


async def serve(
    database_url: str,
    mqtt_url: str,
    host: str,
    port: int,
    limits: Limits,
    *,
    stop: asyncio.Event,
    ready: Callable[[int], None] = lambda _: None,
) -> None:
    """Serve terminals until ``stop``; ``ready`` hears the port.

    The port opens when the broker and the directory have answered once: a terminal that comes before
    tries again, and so do its reports.

    Raises:
        Misconfigured: a dialect or the broker's URL is wrong.
    """
    hub = Hub(Directory(database_url), load_dialects(), limits)
    name = f"jt808-{socket.gethostname()[:16]}-{os.getpid()}"
    broker = hub.broker = Publisher(mqtt_url, name, heard=hub.hear, room=hub.room)
    server = Server(hub)
    stopping = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(_start(hub, broker))
    try:
        await asyncio.wait({stopping, starting}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            starting.result()
            ready(await server.listen(host, port))
            await _follow(hub, broker, stop)
    finally:
        starting.cancel()
        stopping.cancel()
        await server.close()
        await hub.finish()
        await broker.close(DRAIN_S)
        hub.directory.close()
        _log.info("stopped")


async def _start(hub: Hub, broker: Publisher) -> None:
    await broker.connect()
    known = False
    while not known:
        known = await _refreshed(hub)
        await asyncio.sleep(0 if known else REFRESH_EVERY_S)


async def _follow(hub: Hub, broker: Publisher, stop: asyncio.Event) -> None:
    """Keep the directory fresh until it is time to stop; say when the broker refuses reports."""
    refusals = 0
    while not stop.is_set():
        await _refreshed(hub)
        metrics.WAITING.set(broker.waiting)
        if broker.refusals > refusals:
            refusals = broker.refusals
            _log.error("reports_refused_by_broker", times=refusals, last=broker.last_refusal)
        try:
            await asyncio.wait_for(stop.wait(), REFRESH_EVERY_S)
        except TimeoutError:
            continue


async def _refreshed(hub: Hub) -> bool:
    try:
        await hub.directory.refresh()
    except Unavailable as exc:
        _log.warning("directory_unavailable", reason=exc.message)
        return False
    return True


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT end the process in order."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def stop_on_thread_failure(stop: asyncio.Event) -> list[str]:
    """End the process when one of its threads dies: without the broker's, terminals would wait for ever.

    Returns a list that then holds what happened.
    """
    loop = asyncio.get_running_loop()
    failures: list[str] = []

    def failed(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else "unknown"
        failures.append(f"thread {name}: {args.exc_type.__name__}: {args.exc_value}")
        _log.error("thread_failed", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))
        loop.call_soon_threadsafe(stop.set)

    threading.excepthook = failed
    return failures
