"""Parts of a JSON Schema about which keys have to be there; a key without a value counts as absent."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def present(*keys: str) -> Schema:
    """All of the keys, each with a value."""
    return {"required": list(keys), "properties": {key: {"not": {"type": "null"}} for key in keys}}


def absent(*keys: str) -> Schema:
    """None of the keys."""
    return {"properties": {key: {"type": "null"} for key in keys}}


def one_of(*keys: str) -> Schema:
    """Exactly one of the keys."""
    return {"oneOf": [present(key) for key in keys]}
