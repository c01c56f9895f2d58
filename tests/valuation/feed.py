"""A market feed on loopback that serves, or misbehaves, as the test scripts it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What to say to one request; ``declared`` overrules the Content-Length, ``drip_s`` pauses between bytes."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"
    declared: int | None = None
    drip_s: float = 0.0


@dataclass
class Asked:
    """What came in."""

    path: str
    headers: dict[str, str]


class Feed:
    """Answers by path; each path has a queue of answers, the last of which stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, list[Answer | Callable[[Asked], Answer]]] = {}
        self.url = ""
        self.stopping = threading.Event()

    def on(self, path: str, *answers: Answer | Callable[[Asked], Answer]) -> None:
        self.answers[path] = list(answers)

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]


def items(*rows: dict[str, Any], link: str | None = None, headers: dict[str, str] | None = None) -> Answer:
    page = {"data": {"items": list(rows)}, "paging": {"next": link}}
    return Answer(body=json.dumps(page, ensure_ascii=False).encode(), headers=headers or {})


@contextlib.contextmanager
def serving() -> Iterator[Feed]:
    feed = Feed()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()})
            feed.asked.append(asked)
            queue = feed.answers.get(self.path) or [Answer(status=404)]
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            if not isinstance(answer, Answer):
                answer = answer(asked)
            with contextlib.suppress(ConnectionError):
                self._say(answer)

        def _say(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 304:
                self.send_header("Content-Type", answer.kind)
                self.send_header("Content-Length", str(answer.declared or len(answer.body)))
            self.end_headers()
            if not answer.drip_s:
                self.wfile.write(answer.body)
            for byte in answer.body if answer.drip_s else b"":
                self.wfile.write(bytes([byte]))
                if feed.stopping.wait(answer.drip_s):
                    break
            if answer.declared is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keep the test's output to itself."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    feed.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield feed
    finally:
        feed.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
