"""paho waits with select(), which knows no descriptor above 1023; a gateway has one for each terminal.

With more than a thousand terminals here a broker that comes back gets a descriptor beyond that, and paho
would hang up on it again and again. poll() has no such limit and says the same.
"""

from __future__ import annotations

import math
import select
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as mqtt

_READ = select.POLLIN | select.POLLPRI | select.POLLHUP | select.POLLERR | select.POLLNVAL
_WRITE = select.POLLOUT | select.POLLERR | select.POLLNVAL


class _Polling:
    """What paho uses of the module ``select``."""

    @staticmethod
    def select(
        reading: Sequence[Any], writing: Sequence[Any], _failing: Sequence[Any], timeout_s: float
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """Return what can be read and what can be written; fails as select does."""
        poll = select.poll()
        wanted: dict[int, int] = {}
        for sockets, event in ((reading, select.POLLIN), (writing, select.POLLOUT)):
            for one in sockets:
                if one is None:
                    raise TypeError("Expected a socket, was None")
                descriptor = one.fileno()
                if descriptor < 0:
                    raise ValueError("Expected an open socket, was closed")
                wanted[descriptor] = wanted.get(descriptor, 0) | event
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        ready = dict(poll.poll(math.ceil(timeout_s * 1000)))
        return (
            [one for one in reading if ready.get(one.fileno(), 0) & _READ],
            [one for one in writing if ready.get(one.fileno(), 0) & _WRITE],
            [],
        )


def wait_with_poll() -> None:
    """Let every paho client of this process wait with poll()."""
    vars(mqtt)["select"] = _Polling
