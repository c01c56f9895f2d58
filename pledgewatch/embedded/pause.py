"""Waiting for something that no event announces."""

from __future__ import annotations

import threading


class Pause:
    """Wait a little longer at each call, up to a quarter second."""

    def __init__(self, first_s: float = 0.01, longest_s: float = 0.25) -> None:
        self._seconds = first_s
        self._longest_s = longest_s

    def __call__(self) -> None:
        """Wait once."""
        threading.Event().wait(self._seconds)
        self._seconds = min(self._longest_s, self._seconds * 1.6)
