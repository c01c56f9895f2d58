"""Loopback ports: a free one, or a clear word about who has to move."""

from __future__ import annotations

import errno
import socket

from core.errors import Misconfigured

LOOPBACK = "127.0.0.1"


class PortBusy(Misconfigured):
    """Another program listens where we should."""

    default_code = "port_busy"

    def __init__(self, what: str, port: int, variable: str, host: str = LOOPBACK) -> None:
        super().__init__(
            f"{what}: expected port {port} on {host} to be free, but another program uses it. "
            f"Stop that program, or set {variable} to another port (0: any free one).",
            port=port,
            variable=variable,
        )


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether we could listen on a port."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        # As servers do; without it the TIME_WAIT of our own last run would look like a stranger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise Misconfigured(
                    f"Expected an address of this machine to listen on, was {host}", code="bad_listen_address"
                ) from error
            return False
    return True


def any_free(host: str = LOOPBACK) -> int:
    """Return a port that is free at this moment."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def _family(host: str) -> socket.AddressFamily:
    try:
        return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror as error:
        raise Misconfigured(
            f"Expected the name or address of this machine to listen on, was {host!r}",
            code="bad_listen_address",
        ) from error


def choose(what: str, wanted: int, remembered: int, variable: str) -> int:
    """Return the wanted port, else the remembered one if still free, else any free one.

    Raises:
        PortBusy: a port was asked for by name and is taken.
    """
    if wanted:
        if not is_free(wanted):
            raise PortBusy(what, wanted, variable)
        return wanted
    if remembered and is_free(remembered):
        return remembered
    return any_free()
