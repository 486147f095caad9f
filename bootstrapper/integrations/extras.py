"""Frameworks are imported when an integration is used; if one is missing, the error names the extra to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def extra(module: str, name: str) -> Any:
    """Imports a module of an optional dependency; raises ImportError naming the extra if it is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ModuleNotFoundError(
            f"{error.name} is not installed: run pip install 'pg-bootstrapper[{name}]'", name=error.name
        ) from None
