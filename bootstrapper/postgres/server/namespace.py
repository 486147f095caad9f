"""Runs a program as an ordinary user of a new user namespace: python namespace.py PROGRAM ARGUMENT...

PostgreSQL refuses root. In the namespace the same files have an ordinary owner, and nothing outside changes. This is a
script of its own because unshare(2) fails in a process with threads. It becomes the program: same process id.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_OVERFLOW = 65534  # what the owner of every file from outside looks like in a namespace


def main() -> None:
    try:
        _enter(_known_user())
    except (OSError, AttributeError) as error:
        sys.exit(f"no user namespace here: {error}")
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - becoming the program is the purpose


def _known_user() -> int:
    """Returns an ordinary user that has a name: initdb refuses user ids without one."""
    known = sorted(entry.pw_uid for entry in pwd.getpwall() if 0 < entry.pw_uid < _OVERFLOW)
    return known[0] if known else _OVERFLOW


def _enter(inside: int) -> None:
    user, group = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    Path("/proc/self/setgroups").write_text("deny")  # the kernel's condition for the next two lines
    Path("/proc/self/uid_map").write_text(f"{inside} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{inside} {group} 1")


if __name__ == "__main__":
    main()
