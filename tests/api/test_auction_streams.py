"""The stream of a lot: every event once and in order, whoever comes late, comes back or does not read."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.stream.lots import QUEUE_LENGTH, Chunk, LotStreams, Watcher, chunks
from auction.log.append import append_event
from tests.api.sale_scene import API, START, STEP, Sale, made, refused
from tests.fix_stack import eventually, in_a_loop_of_its_own

pytestmark = pytest.mark.db


class Listener:
    """An open stream in a thread of its own; keeps what came."""

    def __init__(self, sale: Sale, last: str | None = None, who: httpx.Client | None = None) -> None:
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.head, self.comments = "", 0
        self._client = httpx.Client(base_url=sale.served.base_url, timeout=30)
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last is not None else {})
        if who is not None:
            headers["Authorization"] = who.headers["Authorization"]
        self._stream = self._client.stream("GET", f"{API}/lots/{sale.lot_id}/events", headers=headers)
        self.answer = self._stream.__enter__()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with contextlib.suppress(httpx.HTTPError, httpx.StreamError):
            for line in self.answer.iter_lines():
                name, _, value = line.partition(": ")
                if line.startswith(":"):
                    self.comments += 1
                elif name == "retry":
                    self.head = value
                elif line:
                    fields[name] = value
                elif fields:
                    self.events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                    fields = {}

    def seqs(self) -> list[int]:
        return [seq for seq, _, _ in self.events]

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.answer.close()
        self._client.close()


@contextlib.contextmanager
def listening(sale: Sale, **options: Any) -> Iterator[Listener]:
    listener = Listener(sale, **options)
    try:
        yield listener
    finally:
        listener.close()


def test_watchers_hear_every_event_once_however_often_they_come_back(sale: Sale):
    sale.publish()
    sale.come(2)
    sale.open()
    first, second = sale.people
    with listening(sale) as live, contextlib.ExitStack() as crowd:
        assert live.answer.headers["content-type"].startswith("text/event-stream")
        others = [crowd.enter_context(listening(sale)) for _ in range(70)]
        began = sale.lot()["seq"]
        for number in range(1, 7):
            made((first, second)[number % 2].bid(sale.lot_id, START + number * STEP))
        newest = sale.lot()["seq"]
        expected = list(range(began + 1, newest + 1))
        eventually(lambda: live.seqs() == expected)
        eventually(lambda: all(other.seqs() == expected for other in others))
        assert live.head == "2000"
        assert live.comments >= 1
        listed = sale.stranger.get(f"{API}/lots/{sale.lot_id}/events", params={"after": began}).json()
        assert [event for _, _, event in live.events] == listed["items"]
        assert listed["next"] is None
        seen = str(live.events[1][0])
    # Away while three more bids come; then back with the id, in both spellings.
    for number in range(7, 10):
        made((first, second)[number % 2].bid(sale.lot_id, START + number * STEP))
    for spelling in (seen, f"{sale.lot_id}:{seen}"):
        with listening(sale, last=spelling) as back:
            eventually(lambda: back.seqs() == list(range(int(seen) + 1, sale.lot()["seq"] + 1)))
            made(first.bid(sale.lot_id, START + (20 if spelling == seen else 25) * STEP))
            eventually(lambda: back.seqs() == list(range(int(seen) + 1, sale.lot()["seq"] + 1)))
    with listening(sale) as end:
        sale.end()
        kinds = eventually(lambda: [kind for _, kind, _ in end.events])
        assert kinds == ["lot.hammered"]
    page = sale.stranger.get(f"{API}/lots/{sale.lot_id}/events", params={"limit": 2}).json()
    assert [event["seq"] for event in page["items"]] == [1, 2]
    assert page["next"] is not None


def test_an_account_has_two_streams_and_far_behind_means_a_snapshot(sale: Sale):
    sale.publish()
    sale.come(1, credit_minor=0)
    path = f"{API}/lots/{sale.lot_id}/events"
    headers = {"Accept": "text/event-stream"}
    who = sale.people[0].client
    with listening(sale, who=who), listening(sale, who=who):
        third = who.get(path, headers=headers)
        refused(third, 429, "too_many_streams")
        assert third.headers["Retry-After"] == "5"
    eventually(lambda: sale.served.server._hub.lots.watchers == 0)
    with listening(sale, who=who) as again:
        assert again.answer.status_code == 200
    for bad in ("x", "-1", "1.5", f"{sale.case_id}:1", "٣", str(2**63)):
        refused(
            sale.stranger.get(
                path, headers=httpx.Headers(headers | {"Last-Event-ID": bad}, encoding="utf-8")
            ),
            400,
            "bad_event_id",
        )
    with sale.served.town.connect() as conn:
        for number in range(1_010):
            append_event(conn, sale.lot_id, "lot.outage_extension", {"n": number})  # type: ignore[arg-type]
    with listening(sale, last="1") as behind:
        eventually(lambda: [kind for _, kind, _ in behind.events] == ["snapshot.required"])
        assert behind.events[0][2]["seq"] == sale.lot()["seq"]


def test_a_watcher_that_does_not_read_is_dropped_and_the_others_go_on():
    async def play() -> None:
        streams = LotStreams(None)  # type: ignore[arg-type]
        streams._polling = True  # nobody reads a database here: what is fanned out is ours
        quick, slow = streams.enter("lot", 0, "a", 9), streams.enter("lot", 0, "b", 9)  # type: ignore[arg-type]
        for seq in range(1, QUEUE_LENGTH + 2):
            _fan_out(streams, Chunk(seq, b"x"))
            assert (await quick.next(1)) == Chunk(seq, b"x")
        assert slow.dropped
        assert not quick.dropped
        got = [part async for part in chunks(slow, [], 0, lambda: b"")]
        assert len(got) == QUEUE_LENGTH + 1, "what fitted is still delivered, and then the stream ends"
        for watcher in (quick, slow):
            streams.leave(watcher)
        assert streams.watchers == 0

    def _fan_out(streams: LotStreams, made_chunk: Chunk) -> None:
        for watcher in list(streams._watchers["lot"]):  # type: ignore[index]
            streams._hand(watcher, made_chunk)

    in_a_loop_of_its_own(play())


def test_what_was_replayed_is_not_sent_again_live():
    async def play() -> list[bytes]:
        watcher = Watcher("lot", "a")  # type: ignore[arg-type]
        for seq in (3, 4, 5, 6):
            watcher.queue.put_nowait(Chunk(seq, f"live {seq}".encode()))
        watcher.queue.put_nowait(None)
        replay = [Chunk(seq, f"past {seq}".encode()) for seq in (3, 4)]
        return [part async for part in chunks(watcher, replay, 2, lambda: b"")]

    assert in_a_loop_of_its_own(play())[1:] == [b"past 3", b"past 4", b"live 5", b"live 6"]
