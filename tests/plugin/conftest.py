from __future__ import annotations

from tests.plugin.authors import author as author
