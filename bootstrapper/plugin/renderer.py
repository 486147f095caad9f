"""The contract of a renderer, which formats plans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from bootstrapper.plans import Plan


class Renderer(ABC):
    """An output format, named by `--format`.

    Attributes:
        is_full: Whether every change is wanted that the plan lists, as with `--full`; else the first of many will do.
        file: The configuration file as the command names it, for formats that need a place for everything.
    """

    format: ClassVar[str]
    is_full = False
    file = ""

    def __init__(self, width: int = 80) -> None:
        """Takes the number of columns that a line for people may have."""
        self.width = width

    @abstractmethod
    def plan(self, plan: Plan) -> str:
        """Returns the plan as text, without a trailing newline. Plans contain no secrets."""
