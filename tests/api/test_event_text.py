"""Tests of the messages about events."""

from __future__ import annotations

import pytest

from bootstrapper.api.event_text import progress


@pytest.mark.parametrize(
    ("done", "total", "unit", "shown"),
    [
        (1, 1, "revisions", "1 of 1 revision"),
        (3, 12, "revisions", "3 of 12 revisions"),
        (1, None, "rows", "1 row"),
        (512, None, "bytes", "512 B"),
        (1536 * 1024, 20 * 1024**2, "bytes", "1.5 of 20.0 MB"),
        (2048, None, "bytes", "2.0 kB"),
    ],
)
def test_progress_has_units_and_plurals(done: int, total: int | None, unit: str, shown: str) -> None:
    assert progress(done, total, unit) == shown
