"""The account that runs PostgreSQL's programs: it refuses root, and no user is created for it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import UnusableServerError

_ACCOUNTS = ("postgres", "nobody")
_PROBE_SECONDS = 10.0
_HANDED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH")  # no secret ever stands in them


@dataclass(frozen=True)
class Identity:
    """The account that runs a program.

    Attributes:
        user: An account's id, None for our own.
        launcher: Stands before every command.
    """

    user: int | None = None
    group: int | None = None
    launcher: tuple[str, ...] = ()

    def spawn(
        self, command: Sequence[str], *, output: int, extra: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts a program in a session of its own, so that no terminal's Ctrl-C or closing reaches it.

        It inherits no file but `output`; above all not the lock's, which would stay locked.
        """
        return subprocess.Popen(
            [*self.launcher, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output == subprocess.PIPE else output,
            env={**_environment(), **(extra or {})},
            start_new_session=True,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
        )

    def run(self, command: Sequence[str], *, seconds: float) -> tuple[bool, str]:
        """Whether the program succeeded in time, and what it said."""
        with self.spawn(command, output=subprocess.PIPE) as process:
            try:
                said, _ = process.communicate(timeout=seconds)
            except BaseException as error:
                process.kill()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                return False, f"not finished within {seconds:.0f} s"
        return process.returncode == 0, said.decode(errors="replace")

    def take(self, path: Path) -> None:
        """Gives a new file or folder of ours to this identity."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)


def choose(folder: Path, data: Path, program: Path) -> Identity:
    """Returns who runs the server of `folder`: the owner of its data; for new data, who can reach folder and program.

    Raises UnusableServerError if there is no such account.
    """
    if os.geteuid() != 0:
        return Identity() if data.exists() or _has_name(os.geteuid()) else _namespace()
    if data.exists():
        return _owner(folder, data, program)
    for account in _accounts():
        if _reaches(account, folder, program):
            return account
    works, reason = _namespace().run([str(program), "--version"], seconds=_PROBE_SECONDS)
    if works:
        return _namespace()
    raise UnusableServerError(
        f"PostgreSQL does not run as root; no account ({', '.join(_ACCOUNTS)}) can enter both {folder} and "
        f"{program.parent}; {reason.strip()}",
        hint="Run as an ordinary user, or move the project and the virtual environment to where others may enter.",
    )


def _owner(folder: Path, data: Path, program: Path) -> Identity:
    found = data.stat()
    if found.st_uid == 0:
        return _namespace()
    owner = Identity(found.st_uid, found.st_gid)
    if not _reaches(owner, folder, program):
        raise UnusableServerError(
            f"{data} belongs to user {found.st_uid}, who cannot enter both {folder} and {program.parent}",
            hint="Run as that user, or let others enter the folders above.",
        )
    return owner


def _namespace() -> Identity:
    return Identity(launcher=(sys.executable, "-IS", str(Path(__file__).with_name("namespace.py"))))


def _accounts() -> Iterator[Identity]:
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        yield Identity(entry.pw_uid, entry.pw_gid)


def _reaches(account: Identity, folder: Path, program: Path) -> bool:
    """Tries as the account itself: modes alone do not tell of access lists and mounts."""
    test = shutil.which("test")
    commands = [[str(program), "--version"], [test or "", "-x", str(folder)]]
    try:
        return all(account.run(command, seconds=_PROBE_SECONDS)[0] for command in commands)
    except OSError:  # also if this root may not change its user
        return False


def _has_name(user: int) -> bool:
    """Whether initdb will accept the user: in a container, the id may belong to no account."""
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _environment() -> dict[str, str]:
    """Returns few variables of ours: the account that runs the program may be shared, and can read them for ever.

    LC_ALL makes messages English.
    """
    return {**{name: os.environ[name] for name in _HANDED_ON if name in os.environ}, "LC_ALL": "C"}
