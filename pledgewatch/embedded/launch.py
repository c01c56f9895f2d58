"""Become the right user, tie our life to the parent's, then exec the program.

Run as a script (`python -I launch.py …`) by `processes.spawn`; standard library only, so that it starts
in milliseconds. A wrapper, not `preexec_fn`: Python must not run between fork and exec of a process
with threads, and the death signal has to be set after the user changed, which clears it.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter_user_namespace(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    """Let the program see `uid` instead of 0 while it keeps the file rights of our real user."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    _checked(libc.unshare(CLONE_NEWUSER), "unshare(CLONE_NEWUSER)")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        with Path(f"/proc/self/{name}").open("w", encoding="ascii") as handle:
            handle.write(text)


def drop_to(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def main() -> None:
    parser = argparse.ArgumentParser(prog="launch")
    parser.add_argument("--parent", type=int, required=True, help="pid that must still be our parent")
    parser.add_argument("--death-signal", type=int, default=int(signal.SIGKILL))
    parser.add_argument("--namespace", nargs=2, type=int, metavar=("UID", "GID"))
    parser.add_argument("--drop", nargs=2, type=int, metavar=("UID", "GID"))
    parser.add_argument("program", nargs="+")
    args = parser.parse_args()

    libc = ctypes.CDLL(None, use_errno=True)
    if args.namespace:
        enter_user_namespace(libc, *args.namespace)
    if args.drop:
        drop_to(*args.drop)
    if args.death_signal:
        _checked(libc.prctl(PR_SET_PDEATHSIG, args.death_signal, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
        # The parent may have died before the line above; nobody would ever signal us then.
        if os.getppid() != args.parent:
            sys.exit(1)
    os.execvp(args.program[0], args.program)  # noqa: S606  becoming the program is the purpose


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.stderr.write(f"launch: {error}\n")
        sys.exit(126)
