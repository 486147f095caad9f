"""The tests that the page about testing writes by hand pass as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.waiting import at_most

ROOT = Path(__file__).parents[2]


def code(page: str, part: str) -> str:
    """Returns the only Python of a page with this in it."""
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    found = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    [example] = [each for each in found if part in each]
    return str(example)


def test_a_scope_and_an_observer_are_tested_as_the_page_says(tmp_path: Path, database: str) -> None:
    (tmp_path / "plugins").mkdir()
    for name, part in (("maintenance", "class Maintenance("), ("observer", "isinstance(event, RunFinished)")):
        (tmp_path / "plugins" / f"{name}.py").write_text(code("write-a-plugin.md", part), encoding="utf-8")
    (tmp_path / "test_own.py").write_text(code("test-a-plugin.md", "Trial("), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"bootstrap_database_url={database}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=at_most(120),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
