"""Starts a program that ends with this process, however that ends.

Two small processes ensure this. The watcher waits for the end of this process, then ends the program's group. The
starter becomes the program once the watcher knows its group, so that no program runs unwatched.
"""

from __future__ import annotations

import marshal
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from bootstrapper.programs.streams import pipe

GRACE_SECONDS = 1.5

# Reads the group to end when its parent is gone, and one more byte when the program has ended.
_WATCHER = f"""
import os, signal, sys, time
told = sys.stdin.buffer.read()
if told.endswith(b"\\n"):
    try:
        os.killpg(int(told), signal.SIGTERM)
        time.sleep({GRACE_SECONDS})
        os.killpg(int(told), signal.SIGKILL)
    except ProcessLookupError:
        pass
"""

# Becomes the program that it reads from its first descriptor; writes to its second one why it cannot. Its input is
# truncated if its parent was killed. Python ignores two signals, which a program must find at their defaults.
_STARTER = """
import errno, marshal, os, signal, sys
order, refusal = map(int, sys.argv[1:])
with open(order, "rb") as pipe:
    told = pipe.read()
try:
    command, environment = marshal.loads(told)
except (EOFError, ValueError, TypeError):
    sys.exit(1)
os.set_inheritable(refusal, False)
for number in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
try:
    os.execvpe(command[0], command, environment)
except OSError as error:
    os.write(refusal, b"%d" % error.errno)
except ValueError:
    os.write(refusal, b"%d" % errno.EINVAL)
"""


@contextmanager
def supervised(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path | None,
    stdin: int,
    stdout: int,
    stderr: int,
    keep_open: Sequence[int],
    umask: int,
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a program in a session and group of its own, and ends the group on any error in the context.

    Raises OSError where the program cannot be started.
    """
    quiet = subprocess.DEVNULL
    watcher = _python(_WATCHER, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet)
    try:
        with _pipe() as (order, ordering), _pipe() as (refused, refusal):
            numbers = (order.fileno(), refusal.fileno())
            with _python(
                _STARTER,
                *map(str, numbers),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                umask=umask,
                pass_fds=(*keep_open, *numbers),
            ) as process:
                try:
                    order.close()
                    refusal.close()
                    _tell(watcher, process.pid)
                    _give(ordering, command, environment)
                    _require_start(refused, command)
                    yield process
                except BaseException:
                    end_group(process)
                    raise
    finally:
        watcher.communicate(b".")


def _python(code: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", code, *arguments], start_new_session=True, **options)


@contextmanager
def _pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    reading, writing = pipe()
    with open(reading, "rb") as reader, open(writing, "wb") as writer:  # noqa: PTH123 - descriptors
        yield reader, writer


def _tell(watcher: subprocess.Popen[bytes], group: int) -> None:
    assert watcher.stdin is not None
    with suppress(BrokenPipeError):
        watcher.stdin.write(b"%d\n" % group)
        watcher.stdin.flush()


def _give(ordering: BinaryIO, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Sends the program to become; by a pipe, as the process list shows arguments."""
    variables = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
    with suppress(BrokenPipeError):
        ordering.write(marshal.dumps((list(map(os.fsencode, command)), variables)))
        ordering.close()


def _require_start(refused: BinaryIO, command: Sequence[str]) -> None:
    """Waits until the starter is the program, which closes the pipe, or has written why it cannot be."""
    told = refused.read()
    if told:
        raise OSError(int(told), os.strerror(int(told)), command[0])


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Terminates the process group, and kills what is left of it after GRACE_SECONDS."""
    try:
        _signal_group(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS refuses to signal a group of zombies
        os.killpg(process.pid, number)
