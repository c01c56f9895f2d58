"""A load generator that costs little itself: bare HTTP/1.1 over kept connections, one asyncio loop.

A full HTTP client spends more processor time on a request than our server does; on two cores it would
measure itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from core.clock import monotonic
from core.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Call:
    """One request: method, path, JSON body (or none), headers beside the usual ones."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any] | None = None

    def encode(self) -> bytes:
        """Return the bytes on the wire."""
        content = b"" if self.body is None else json.dumps(self.body).encode()
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: bench", "Accept: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0: the line was cut before an answer."""

    status: int
    body: bytes
    sent_s: float
    answered_s: float
    headers: dict[bytes, bytes]

    @property
    def took_ms(self) -> float:
        """Return milliseconds from sending to the last byte."""
        return (self.answered_s - self.sent_s) * 1e3


class Line:
    """One connection, opened again when it was cut."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect before anything is measured."""
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)

    async def send(self, wire: bytes) -> Answer:
        """Send one request and read its answer."""
        sent_s = monotonic()
        try:
            if self._writer is None:
                await self.open()
            assert self._reader is not None and self._writer is not None  # noqa: S101, PT018
            self._writer.write(wire)
            status, headers = await read_head(self._reader)
            body = await self._reader.readexactly(int(headers.get(b"content-length", b"0")))
        except (OSError, asyncio.IncompleteReadError, ValueError):
            await self.close()
            return Answer(0, b"", sent_s, monotonic(), {})
        if headers.get(b"connection", b"").lower() == b"close":
            await self.close()
        return Answer(status, body, sent_s, monotonic(), headers)

    async def close(self) -> None:
        """Drop the connection, and see it gone before the loop may end."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[bytes, bytes]]:
    """Read the status line and the headers of an answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    pairs = (line.partition(b":") for line in lines if line)
    return int(first.split(b" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def run_load(
    port: int, calls: Iterator[Call], *, lines: int, seconds: float, host: str = "127.0.0.1"
) -> tuple[list[tuple[Call, Answer]], float]:
    """Keep ``lines`` requests in flight for so long; returns every call with its answer, and the seconds."""
    done: list[tuple[Call, Answer]] = []
    opened = [Line(host, port) for _ in range(lines)]
    await asyncio.gather(*(line.open() for line in opened))
    began_s = monotonic()

    async def keep_busy(line: Line) -> None:
        while monotonic() - began_s < seconds:
            call = next(calls)
            done.append((call, await line.send(call.encode())))

    await asyncio.gather(*map(keep_busy, opened))
    spent_s = monotonic() - began_s
    await asyncio.gather(*(line.close() for line in opened))
    return done, spent_s


def all_good(done: list[tuple[Call, Answer]], *, also: Callable[[Answer], bool] = lambda _: False) -> None:
    """See that a run measured answers and not errors.

    Raises:
        Unavailable: somebody got another answer than 2xx (or what ``also`` admits).
    """
    for call, answer in done:
        if not 200 <= answer.status < 300 and not also(answer):
            raise Unavailable(
                f"Expected 2xx from {call.method} {call.path}, was {answer.status}: {answer.body[:300]!r}",
                code="bench_incomplete",
            )
