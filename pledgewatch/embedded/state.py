"""Files under DATA_DIR: what runs, and the generated secrets."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import Misconfigured

SECRET_BYTES = 32


def write_private(path: Path, text: str, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Replace a file in one step, so that no reader ever sees half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fchmod(handle.fileno(), mode)
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                os.fchown(handle.fileno(), *owner)
            os.fsync(handle.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def read_state(path: Path) -> dict[str, Any]:
    """Return a state file's object; empty when there is none or it is damaged."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def write_state(path: Path, **values: object) -> None:
    """Replace a state file."""
    write_private(path, json.dumps(values, indent=1, sort_keys=True) + "\n")


def prepare_data_dir(data_dir: Path) -> Path:
    """Create DATA_DIR (private when we make it) and return it resolved.

    Raises:
        Misconfigured: it cannot be created or written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        resolved = data_dir.resolve()
        (resolved / "logs").mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=resolved):
            pass
    except OSError as exc:
        raise Misconfigured(
            f"PLEDGEWATCH_DATA_DIR: expected a folder we can write, {data_dir} is not: {exc.strerror}.",
            code="data_dir_not_writable",
        ) from exc
    return resolved


def new_secret() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(SECRET_BYTES)


def secret(data_dir: Path, name: str, make: Callable[[], str] = new_secret) -> str:
    """Return a secret of this deployment, made on first use, kept 0600."""
    folder = data_dir / "secrets"
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        # Of two processes that make it at once one wins, and both read the winner's: a key that was
        # replaced after its first use would take what it sealed with it.
        draft = folder / f".{name}.{secrets.token_hex(8)}"
        write_private(draft, make() + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text(encoding="utf-8").strip()
