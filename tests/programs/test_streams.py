"""Tests of reading what a program says while it runs."""

from __future__ import annotations

import subprocess
import sys
import time

from bootstrapper.programs.streams import Lines, read_until_exit

BIT_BY_BIT = "import time\nfor number in range(100): print(number, flush=True); time.sleep(0.003)"
PAUSE_SECONDS = 0.05


def test_what_comes_during_a_pause_is_read_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", BIT_BY_BIT], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines, started = Lines(), time.monotonic()
        pieces = [data for _, data in read_until_exit(process, process.stdout.fileno(), pause_seconds=PAUSE_SECONDS)]
        seconds = time.monotonic() - started
    assert [line for data in pieces for line in lines.feed(data)] == [str(number) for number in range(100)]
    read = [data for data in pieces if data]
    assert len(read) <= seconds / PAUSE_SECONDS + 2
