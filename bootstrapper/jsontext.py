"""JSON that people read, too: letters of all languages as they are, and nothing that a terminal would obey."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

# DEL and the C1 controls, line separators, marks that reorder the text around them, lone surrogates. Those below the
# blank are escaped in any JSON.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def dumps(data: object, default: Callable[[object], object] = str) -> str:
    """Several lines, without one at the end."""
    text = json.dumps(data, default=default, ensure_ascii=False, indent=2)
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
