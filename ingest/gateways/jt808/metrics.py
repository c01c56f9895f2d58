"""Prometheus figures of the gateway (served on loopback when a port is set)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

CONNECTIONS = Gauge("pledgewatch_jt808_connections", "Open connections.", ["state"])
CLOSED = Counter("pledgewatch_jt808_closed", "Connections that ended, by reason.", ["reason"])
MESSAGES = Counter("pledgewatch_jt808_messages", "Messages of terminals by id.", ["message"])
BAD_FRAMES = Counter("pledgewatch_jt808_bad_frames", "Frames refused: length, escape, checksum, header.")
REPORTS = Counter("pledgewatch_jt808_reports", "Reports by what became of them.", ["outcome"])
ANSWERS = Counter("pledgewatch_jt808_answers", "General answers given, by result.", ["result"])
WAITING = Gauge("pledgewatch_jt808_waiting", "Messages that the broker has not answered.")
COMMANDS = Counter("pledgewatch_jt808_commands", "Commands by what became of them.", ["outcome"])
