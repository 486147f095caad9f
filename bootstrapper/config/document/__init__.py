"""YAML files as plain data that knows its places: `reader`, `builder` and `frame` read the text within limits,
`json_documents` decodes JSON without that, `tree` is the document, `interpolation` replaces variables,
`overlay` merges an environment's file, `validation` words pydantic's errors, `envfile` reads variables. Imports errors
and text."""

from bootstrapper.config.document.interpolation import (
    DRIVERS,
    OF_TARGET,
    Expansion,
    MalformedExpression,
    UnsetVariable,
    expand,
    of_run,
)
from bootstrapper.config.document.reader import MAX_BYTES, MAX_DATA_BYTES, parse, read, read_bytes
from bootstrapper.config.document.tree import Document, Place, children

__all__ = [
    "DRIVERS",
    "MAX_BYTES",
    "MAX_DATA_BYTES",
    "OF_TARGET",
    "Document",
    "Expansion",
    "MalformedExpression",
    "Place",
    "UnsetVariable",
    "children",
    "expand",
    "of_run",
    "parse",
    "read",
    "read_bytes",
]
