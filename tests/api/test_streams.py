"""Server-sent events: what is new arrives, what was missed is replayed, nobody hears another branch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from queue import Empty, Queue
from typing import Any

import httpx
import pytest

from api.stream.hub import QUEUE_LENGTH, Hub
from api.stream.sources import Signal
from core.clock import WallClock, wall_now
from tests.fix_api import Served, risk
from tests.fix_stack import eventually, in_a_loop_of_its_own

pytestmark = pytest.mark.db
API = "/api/v1"


class Events:
    """An open stream, read on an event loop in a thread of its own."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.queue: Queue[dict[str, str]] = Queue()
        self.connected = threading.Event()
        self.ended_by_server = False
        self._url, self._headers = url, headers
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._read())
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    async def _read(self) -> None:
        async with (
            httpx.AsyncClient(timeout=30) as client,
            client.stream("GET", self._url, headers=self._headers) as answer,
        ):
            assert answer.status_code == 200
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                self.connected.set()
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                elif "data" in fields:
                    self.queue.put(fields)
                    fields = {}
        self.ended_by_server = True

    def next(self, within_s: float = 10) -> tuple[str, dict[str, Any]]:
        fields = self.queue.get(timeout=within_s)
        return fields["id"], json.loads(fields["data"])

    def close(self) -> None:
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(timeout=10)


@contextmanager
def listening(served: Served, who: str, path: str, last_id: str | None = None) -> Iterator[Events]:
    headers = {"Authorization": f"Bearer {served.town.tokens[who]}", "Purpose": "test"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    events = Events(f"{served.base_url}{API}{path}", headers)
    try:
        assert events.connected.wait(10)
        yield events
    finally:
        events.close()


def test_an_alert_reaches_its_branch_at_once_and_no_other(served: Served):
    with (
        listening(served, "east", "/alerts/stream") as east,
        listening(served, "west", "/alerts/stream") as west,
    ):
        served.town.find(risk("V2", wall_now(), "TOW_SUSPECTED", scope=""))
        _, news = east.next()
        assert (news["change"], news["alert"]["rule"], news["alert"]["vehicle_id"]) == (
            "raised",
            "TOW_SUSPECTED",
            "V2",
        )
        served.town.find(risk("V6", wall_now(), "TOW_SUSPECTED", scope=""))
        _, other = west.next()
        assert other["alert"]["vehicle_id"] == "V6"
        with pytest.raises(Empty):
            east.next(within_s=1.0)


def test_whoever_reconnects_hears_exactly_what_was_missed(served: Served):
    with listening(served, "admin", "/alerts/stream") as first:
        served.town.find(risk("V2", wall_now(), "TOW_SUSPECTED", scope=""))
        last_id, _ = first.next()
    served.town.find(risk("V3", wall_now(), "TOW_SUSPECTED", scope=""))
    served.town.find(risk("V4", wall_now(), "TOW_SUSPECTED", scope=""))
    with listening(served, "admin", "/alerts/stream", last_id) as again:
        missed = [again.next()[1]["alert"]["vehicle_id"] for _ in range(2)]
        assert missed == ["V3", "V4"]
        served.town.find(risk("V7", wall_now(), "TOW_SUSPECTED", scope=""))
        assert again.next()[1]["alert"]["vehicle_id"] == "V7"


def test_a_position_arrives_when_it_is_stored_and_again_after_a_break(served: Served):
    now = wall_now()
    with listening(served, "admin", "/positions/stream") as first:
        served.town.store(served.town.report(3, now, speed_kmh=61.0))
        last_id, position = first.next()
        assert (position["vehicle_id"], position["speed_kmh"]) == ("V3", 61.0)
        # A report from the past does not move the newest position.
        served.town.store(served.town.report(4, now - timedelta(hours=1)))
        served.town.store(served.town.report(5, now, speed_kmh=7.0))
        assert first.next()[1]["vehicle_id"] == "V5"
    served.town.store(served.town.report(6, now, speed_kmh=8.0))
    with listening(served, "admin", "/positions/stream", last_id) as again:
        heard = {again.next()[1]["vehicle_id"] for _ in range(2)}
        assert {"V5", "V6"} & heard
        assert "V8" not in heard
    views = served.as_("auditor").get(f"{API}/audit", params={"vehicle_id": "V8"}).json()["items"]
    assert [view["resource"] for view in views] == ["positions/stream"] * 2, (
        "a live view is a look at every vehicle"
    )


def test_a_stream_needs_token_purpose_and_a_known_event_id(served: Served):
    assert served.as_(None).get(f"{API}/alerts/stream").status_code == 401
    assert served.as_("bidder").get(f"{API}/alerts/stream").status_code == 403
    bare = {"Authorization": f"Bearer {served.town.tokens['admin']}"}
    assert (
        httpx.get(f"{served.base_url}{API}/positions/stream", headers=bare).json()["code"]
        == "purpose_required"
    )
    for path in ("/alerts/stream", "/positions/stream"):
        answer = served.as_("admin").get(API + path, headers={"Last-Event-ID": "nonsense"})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_event_id")


def test_a_listener_that_does_not_read_is_dropped_and_others_go_on():
    async def scene() -> tuple[bool, int, int]:
        hub = Hub(None, WallClock())  # type: ignore[arg-type]
        with hub.subscribed("alerts", ["head"]) as slow, hub.subscribed("alerts", ["head"]) as quick:
            heard = 0
            for n in range(QUEUE_LENGTH + 1):
                hub._fan_out("alerts", [Signal(str(n), "alert", "head", {}, None)])
                quick.queue.get_nowait()
                heard += 1
            left = hub.listeners
            drained = [signal async for signal in slow.signals()]
            return slow.dropped, heard, left if len(drained) == QUEUE_LENGTH else -1

    assert in_a_loop_of_its_own(scene()) == (True, QUEUE_LENGTH + 1, 1)


def test_open_streams_end_when_the_server_stops(served: Served):
    with listening(served, "admin", "/alerts/stream") as events:
        served.town.find(risk("V2", wall_now(), "TOW_SUSPECTED", scope=""))
        events.next()
        served.stop()
        assert eventually(lambda: events.ended_by_server, within_s=5)
