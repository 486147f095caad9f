"""The names of the ledger's tables."""

from __future__ import annotations

DEFAULT_SCHEMA = "bootstrapper"
TABLES = ("lock", "runs", "steps", "revisions", "digests", "meta")


def table_name(schema: str, name: str) -> str:
    """Returns the bare name of one of TABLES: its own in a schema of ours, prefixed in any other."""
    return name if schema == DEFAULT_SCHEMA else f"bootstrapper_{name}"
