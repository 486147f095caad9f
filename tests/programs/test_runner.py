import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bootstrapper.deadline import Deadline
from bootstrapper.programs import runner
from tests.waiting import at_most, eventually


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def run(script: str, seconds: float = 30.0, **options: object) -> runner.Ended:
    return runner.run(shell(script), environment=os.environ, deadline=Deadline.after(at_most(seconds)), **options)  # type: ignore[arg-type]


def is_running(pid: int) -> bool:
    """Not counting what has ended and waits for its parent to notice."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_lines_of_output_and_errors_are_reported_as_they_come() -> None:
    lines: list[str] = []
    ended = run("echo one; echo two >&2; printf 'a\\rb\\r\\nlast'", on_line=lines.append)
    assert (lines, ended.code, ended.last_lines) == (["one", "two", "b", "last"], 0, ("one", "two", "b", "last"))


def test_the_exit_code_is_reported() -> None:
    assert run("exit 7").how == "ended with exit code 7"


@pytest.mark.parametrize(
    ("command", "environment"),
    [(["echo", "a\0b"], {}), (["echo"], {"A": "a\0b"}), (["echo"], {"A=B": "x"}), (["echo", "a" * 200_000], {})],
)
def test_invalid_arguments_are_an_error_at_the_start(command: list[str], environment: dict[str, str]) -> None:
    with pytest.raises(OSError, match=r"Invalid argument|Argument list too long"):
        runner.run(command, environment={**os.environ, **environment}, deadline=Deadline.after(30))


def test_a_signal_is_reported() -> None:
    assert run("kill -9 $$").how == "was killed by signal 9 (Killed)"


def test_output_goes_to_a_descriptor_where_one_is_given(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        ended = run("echo data; echo trouble >&2", stdout=out.fileno())
    assert ((tmp_path / "out").read_text(), ended.last_lines) == ("data\n", ("trouble",))


def test_a_line_without_end_does_not_gather_in_memory() -> None:
    lines: list[str] = []
    run("head -c 1000000 /dev/zero | tr '\\0' x", on_line=lines.append)
    assert sum(map(len, lines)) == 1_000_000
    assert max(map(len, lines)) < 200_000


def test_a_grandchild_that_keeps_the_output_open_does_not_hold_the_run() -> None:
    started = time.monotonic()
    ended = run("sleep 20 & echo $!")
    os.kill(int(ended.last_lines[0]), 9)
    assert time.monotonic() - started < at_most(10)


def test_the_deadline_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with pytest.raises(runner.OutOfTimeError):
        run(f"sleep 600 & echo $! > {file}; wait", seconds=0.5)
    assert eventually(lambda: not is_running(int(file.read_text())))


def test_an_error_in_a_tick_ends_the_program(tmp_path: Path) -> None:
    file = tmp_path / "pid"

    def fail_once_started() -> None:
        if file.exists() and file.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(f"echo $$ > {file}; exec sleep 600", on_tick=fail_once_started)
    assert not is_running(int(file.read_text()))


def test_a_killed_parent_takes_the_program_with_it(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    script = f"""
import os
from bootstrapper.programs import runner
from bootstrapper.deadline import Deadline
command = ["/bin/sh", "-c", "echo $$ > {file}; sleep 600 & wait"]
runner.run(command, environment=os.environ, deadline=Deadline.never())
"""
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    assert eventually(lambda: file.exists() and bool(file.read_text()))
    pid = int(file.read_text())
    assert is_running(pid)
    parent.kill()
    parent.wait()
    assert eventually(lambda: not is_running(pid))


@pytest.mark.parametrize("moment", ["_tell", "_give"])
def test_a_parent_killed_while_it_starts_a_program_leaves_none(tmp_path: Path, moment: str) -> None:
    group, ran = tmp_path / "group", tmp_path / "ran"
    script = f"""
import os, signal, subprocess
from pathlib import Path
from bootstrapper.deadline import Deadline
from bootstrapper.programs import runner, supervised

class Noted(subprocess.Popen):
    def __enter__(self):
        Path({str(group)!r}).write_text(str(self.pid))
        return super().__enter__()

subprocess.Popen = Noted
supervised.{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
runner.run(["/usr/bin/touch", {str(ran)!r}], environment=os.environ, deadline=Deadline.never())
"""
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False)
    assert eventually(lambda: not is_running(int(group.read_text())))
    assert not ran.exists()


def test_a_program_finds_its_signals_and_variables_as_they_are() -> None:
    ended = runner.run(
        ["sh", "-c", "grep SigIgn /proc/self/status; env"],
        environment={"PATH": "/usr/bin:/bin", "NAME": "v\udcff"},
        deadline=Deadline.after(30),
    )
    ignored, *variables = ended.last_lines
    assert not any(int(ignored.split()[1], 16) >> (number - 1) & 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))
    assert sorted(line for line in variables if not line.startswith(("PWD=", "SHLVL=", "_="))) == [
        "NAME=v\ufffd",
        "PATH=/usr/bin:/bin",
    ]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_program_is_started_where_standard_descriptors_are_closed(tmp_path: Path, closed: str) -> None:
    said = tmp_path / "said"
    script = f"""
import os
from pathlib import Path
from bootstrapper.programs import runner
from bootstrapper.deadline import Deadline
ended = runner.run(["/bin/echo", "started"], environment=os.environ, deadline=Deadline.after(20))
Path({str(said)!r}).write_text(f"{{ended.code}} {{ended.last_lines}}")
"""
    subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        check=True,
        timeout=at_most(30),
    )
    assert said.read_text() == "0 ('started',)"


def test_a_program_that_cannot_start_raises_oserror() -> None:
    with pytest.raises(FileNotFoundError, match="/no/such/program"):
        runner.run(["/no/such/program"], environment={}, deadline=Deadline.never())
