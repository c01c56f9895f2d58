"""Mosquitto with the configuration that compose uses, on a loopback port."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from core.errors import Misconfigured
from pledgewatch.embedded.identity import Identity, choose_identity
from pledgewatch.embedded.state import write_private

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"
AUTOSAVE_INTERVAL_S = 15
VERSION_TIMEOUT_S = 10


def find_mosquitto() -> Path | None:
    """Return the broker program; Debian keeps it in /usr/sbin, off an ordinary user's PATH."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"))
    found = shutil.which("mosquitto", path=path)
    return Path(found) if found else None


def mosquitto_version(program: Path) -> str:
    """Return the version text, `unknown` when the program does not say."""
    answer = subprocess.run(
        [program, "-h"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
    )
    match = re.search(r"mosquitto version (\S+)", answer.stdout + answer.stderr)
    return match.group(1) if match else "unknown"


def choose_broker_identity(folder: Path) -> Identity:
    """Return as whom Mosquitto runs.

    Started as root it would change to the user `mosquitto`, who cannot read a DATA_DIR under root's
    0700 home. A user namespace avoids both; without namespaces it stays root, on loopback only.
    """
    identity = choose_identity()
    if identity.kind == "dropped" and not identity.can_enter(folder.parent):
        return Identity("direct")
    return identity


def render(folder: Path, port: int, inner_port: int, identity: Identity) -> Path:
    """Write `mosquitto.conf` and `conf.d/` into our folder and return the former.

    Raises:
        Misconfigured: the shared file lost one of the lines we replace.
    """
    owner = identity.owner()
    include_dir = folder / "conf.d"
    for path in (include_dir, folder / "store"):
        path.mkdir(exist_ok=True, mode=0o700)
        os.chown(path, *owner)
    os.chown(folder, *owner)
    text = (DEPLOY / "mosquitto.conf").read_text(encoding="utf-8")
    for directive, value in (
        ("password_file", folder / "passwords"),
        ("acl_file", folder / "acl"),
        ("include_dir", include_dir),
    ):
        lines = re.findall(rf"(?m)^{directive} .*$", text)
        if len(lines) == 1:
            text = text.replace(lines[0], f"{directive} {value}")
        else:
            raise Misconfigured(
                f"{DEPLOY / 'mosquitto.conf'}: expected one line `{directive} …`, found {len(lines)}",
                code="bad_mosquitto_conf",
            )
    listener = [
        # Ours: workers and gateways name their sessions themselves.
        f"listener {inner_port} 127.0.0.1",
        # The devices': as in conf.d/20-listeners.conf, none can take over somebody else's session.
        f"listener {port} 127.0.0.1",
        "use_username_as_clientid true",
        "persistence true",
        f"persistence_location {folder / 'store'}/",
        # Mosquitto before 2.1 saves a whole snapshot now and then (default: every 30 minutes).
        f"autosave_interval {AUTOSAVE_INTERVAL_S}",
    ]
    if identity.kind == "direct" and os.geteuid() == 0:
        # Without this line it would change to the user `mosquitto`, who cannot read this folder.
        listener.append("user root")
    write_private(include_dir / "embedded.conf", "\n".join(listener) + "\n", owner=owner)
    write_private(folder / "acl", (DEPLOY / "acl").read_text(encoding="utf-8"), owner=owner)
    conf = folder / "mosquitto.conf"
    write_private(conf, text, owner=owner)
    return conf
