"""``Once``: run a creating command at most once per Idempotency-Key, and repeat its answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from api.deps import Conn, Who
from api.idempotency import store
from core.db.pool import Connection
from core.errors import Conflict

Answer = TypeVar("Answer", bound=BaseModel)

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$",
        description="Repeat a command with its key and it is done once; the first answer comes again.",
    ),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Once:
    """The request's key, if it has one."""

    conn: Connection
    response: Response
    actor: str
    operation: str
    fingerprint: bytes
    key: str | None

    def __call__(self, kind: type[Answer], make: Callable[[], Answer]) -> Answer:
        """Return ``make()``, or the remembered answer of the same command.

        Raises:
            Conflict: the key was used for another command (``idempotency_key_reused``).
        """
        if self.key is None:
            return make()
        if store.begin(
            self.conn, actor=self.actor, key=self.key, operation=self.operation, fingerprint=self.fingerprint
        ):
            answer = make()
            store.remember(self.conn, actor=self.actor, key=self.key, response=answer.model_dump(mode="json"))
            return answer
        found = store.remembered(self.conn, actor=self.actor, key=self.key)
        if found is None or found[0] != self.operation or bytes(found[1]) != self.fingerprint:
            raise Conflict(
                "Expected a new Idempotency-Key, was one that another command used",
                code="idempotency_key_reused",
            )
        self.response.headers["Idempotent-Replay"] = "true"
        return kind.model_validate(found[2])


async def once_of(request: Request, response: Response, conn: Conn, asker: Who, key: Key = None) -> Once:
    """Bind the key to the request's path and body."""
    content = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + await request.body())
    operation: str = request.scope["endpoint"].__name__
    return Once(conn, response, asker.actor, operation, content.digest(), key)


OnlyOnce = Annotated[Once, Depends(once_of)]
