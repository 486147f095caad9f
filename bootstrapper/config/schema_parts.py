"""Parts of a JSON Schema that require or forbid keys; a key without a value counts as absent."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def present(*keys: str) -> Schema:
    """Requires all of the keys, each with a value."""
    return {"required": list(keys), "properties": {key: {"not": {"type": "null"}} for key in keys}}


def absent(*keys: str) -> Schema:
    """Forbids the keys."""
    return {"properties": {key: {"type": "null"} for key in keys}}


def one_of(*keys: str) -> Schema:
    """Requires exactly one of the keys."""
    return {"oneOf": [present(key) for key in keys]}
