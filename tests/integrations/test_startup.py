"""What a start is given, and what it does in a process that was forked from one that has brought up the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrapper.integrations.startup import Startup
from tests.integrations.servers import example, run

PROGRAM = """
import os, sys
from bootstrapper.integrations import startup

startup._FRESH_SECONDS = float(sys.argv[1])
name, _, value = sys.argv[3].partition("=")
startup.Startup("bootstrap.yaml").run()
if pid := os.fork():
    os.waitpid(pid, 0)
else:
    os.environ[name] = value
    startup.Startup(sys.argv[2], mode="check").run()
    os._exit(0)
"""


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ValueError, match=r"^mode is 'never'; valid are apply, follow, check$"):
        Startup(mode="never")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fresh_seconds", "file", "variable", "times"),
    [
        pytest.param(60, "", "TZ=America/Chicago", 1, id="the same file, whatever the arguments"),
        pytest.param(60, "other.yaml", "TZ=UTC", 2, id="another file"),
        pytest.param(60, "", "GREETING=hello", 2, id="other variables"),
        pytest.param(0, "", "TZ=UTC", 2, id="later"),
    ],
)
def test_a_fork_looks_again_unless_its_parent_just_has(
    fresh_seconds: int, file: str, variable: str, times: int, tmp_path: Path, database: str
) -> None:
    folder = example("flask", tmp_path)
    (folder / "other.yaml").write_text((folder / "bootstrap.yaml").read_text())
    ended = run(["python", "-c", PROGRAM, str(fresh_seconds), file, variable], folder, database)
    assert ended.code == 0, ended
    assert ended.stderr.count(" · database ") == times
