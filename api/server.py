"""The server: uvicorn, with event streams that end when the process is told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from types import FrameType

    from fastapi import FastAPI

GRACE_S = 5
KEEP_ALIVE_S = 30


class Server(uvicorn.Server):
    """uvicorn waits for open answers before it ends, and a stream never ends by itself: we end it first."""

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app, host=host, port=port, log_level="warning", access_log=False, proxy_headers=False,
                server_header=False, timeout_graceful_shutdown=GRACE_S, timeout_keep_alive=KEEP_ALIVE_S,
            )
        )  # fmt: skip
        self._hub = app.state.services.hub

    def stop(self) -> None:
        """End the streams, then the server."""
        self._hub.close_soon()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self._hub.close_soon()
        super().handle_exit(sig, frame)
