"""The page shows the examples as they are."""

from __future__ import annotations

import re

import pytest

from tests.integrations.servers import EXAMPLES, PAGE

BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SOURCES = [path.read_text(encoding="utf-8") for path in EXAMPLES.rglob("*.py")]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_code_of_the_page_is_that_of_an_example(block: str) -> None:
    """Each part between blank lines stands in one example."""
    parts = [part.strip("\n") for part in block.split("\n\n\n")]
    assert any(all(part in source for part in parts) for source in SOURCES)
