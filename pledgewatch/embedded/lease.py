"""Who owns a part of the stack on a DATA_DIR, and who is using it.

Two kernel locks a part: `NAME.owner` is held by the process that started it, `NAME.users` is shared by
those that joined. Both vanish with their process, however it dies.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Lease:
    """One process's claim on one part."""

    def __init__(self, data_dir: Path, part: str) -> None:
        self._owner_path = data_dir / f"{part}.owner"
        self._users_path = data_dir / f"{part}.users"
        self._owner: int | None = None
        self._user: int | None = None

    @property
    def owned(self) -> bool:
        return self._owner is not None

    def try_own(self) -> bool:
        """Become the owner if nobody is."""
        if self._owner is None:
            self._owner = _try_lock(self._owner_path, fcntl.LOCK_EX)
            if self._owner is not None:
                os.ftruncate(self._owner, 0)
                os.pwrite(self._owner, f"{os.getpid()}\n".encode(), 0)
        return self._owner is not None

    def try_join(self) -> bool:
        """Become a user; the owner then waits for us before it stops the part."""
        if self._user is None:
            self._user = _try_lock(self._users_path, fcntl.LOCK_SH)
        return self._user is not None

    def unused(self) -> bool:
        """Tell the owner whether nobody else uses the part; keeps newcomers out when so."""
        if self._user is not None:
            return True
        self._user = _try_lock(self._users_path, fcntl.LOCK_EX)
        return self._user is not None

    def owner_pid(self) -> int | None:
        """Return the pid that the owner wrote, None when there was never one."""
        try:
            text = self._owner_path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        return int(text) if text.isdigit() else None

    def leave(self) -> None:
        """Stop being a user."""
        if self._user is not None:
            os.close(self._user)
            self._user = None

    def release(self) -> None:
        """Give everything back."""
        self.leave()
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None


def _try_lock(path: Path, kind: int) -> int | None:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
