"""YAML files as plain data that knows where it stands, with variables and overlays."""

from bootstrapper.config.document.interpolation import (
    Expansion,
    MalformedExpression,
    UnsetVariable,
    demands,
    expand,
    of_run,
)
from bootstrapper.config.document.overlay import merge
from bootstrapper.config.document.reader import MAX_BYTES, parse, read, read_bytes
from bootstrapper.config.document.tree import Document, Place

__all__ = [
    "MAX_BYTES",
    "Document",
    "Expansion",
    "MalformedExpression",
    "Place",
    "UnsetVariable",
    "demands",
    "expand",
    "merge",
    "of_run",
    "parse",
    "read",
    "read_bytes",
]
