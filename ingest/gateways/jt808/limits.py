"""How much one peer, and all of them together, may cost. A terminal in order never meets any of these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds; bytes and numbers per connection unless they say otherwise."""

    connections: int = 20_000
    """All together; also the process's file limit, less what else it has open."""
    strangers: int = 1_000
    """Connections that have not signed in; when there are more, the oldest of them goes."""
    strangers_per_address: int = 100
    sign_in_s: float = 30.0
    idle_s: float = 900.0
    """Without a whole frame. Heartbeats are minutes apart."""
    broker_patience_s: float = 60.0
    """A terminal whose oldest report the broker has not answered for so long is sent away: it will buffer."""
    write_stall_s: float = 20.0
    """A peer that does not read its answers."""
    write_high_bytes: int = 16 * 1024
    read_bytes: int = 4_096
    """Read at once. What is not yet handled of one read is all that a connection can make us hold."""
    pending_reports: int = 32
    """Messages without an answer; then its socket is not read."""
    bad_frames: int = 20
    stranger_bad_frames: int = 3
    stranger_noise_bytes: int = 512
    sign_in_tries: int = 5
    packets_ask_s: float = 5.0
    """Silence after which missing packets of a long message are asked for."""
    commands: int = 8
    command_bytes: int = 4_096
    command_retry_s: float = 15.0
    command_tries: int = 3
