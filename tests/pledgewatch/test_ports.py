"""Loopback ports: free, busy, or not ours to listen on."""

from __future__ import annotations

import socket

import pytest

from core.errors import Misconfigured
from pledgewatch.embedded import ports


def test_a_port_in_use_is_not_free_and_afterwards_it_is():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not ports.is_free(port)
    assert ports.is_free(port)


def test_a_busy_wanted_port_is_refused_and_a_busy_remembered_one_replaced():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ports.PortBusy, match=f"port {port} .*set THE_VARIABLE"):
            ports.choose("The part", port, 0, "THE_VARIABLE")
        assert ports.choose("The part", 0, port, "THE_VARIABLE") != port


def test_a_free_remembered_port_is_kept():
    port = ports.any_free()
    assert ports.choose("The part", 0, port, "THE_VARIABLE") == port


def test_an_address_that_is_not_ours_is_named():
    with pytest.raises(Misconfigured, match=r"192\.0\.2\.1"):
        ports.is_free(8080, "192.0.2.1")
