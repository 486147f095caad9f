"""extension: whether an extension is installed in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check, Probe
from bootstrapper.plugin.options import StepModel


class ExtensionSettings(StepModel):
    """The extension that has to be installed.

    Attributes:
        name: Name of the extension.
        version: Exact version; any if left out.
    """

    name: str
    version: str | None = None


class ExtensionCheck(Check[str | ExtensionSettings]):
    """`extension: vector`, or `extension: {name: vector, version: "0.8.0"}`."""

    key = "extension"
    pure = True

    @property
    def _wanted(self) -> ExtensionSettings:
        return ExtensionSettings(name=self.argument) if isinstance(self.argument, str) else self.argument

    def probe(self) -> Probe:
        statement = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = %s"
        return Probe(statement, (self._wanted.name,), borrows_session=False)

    def answer(self, rows: Sequence[Sequence[Any]]) -> Answer:
        wanted = self._wanted
        if not rows:
            return Answer.no(f"extension {wanted.name} is not installed")
        installed = rows[0][0]
        if wanted.version is not None and installed != wanted.version:
            return Answer.no(f"extension {wanted.name} has version {installed}, not {wanted.version}")
        return Answer.yes(f"extension {wanted.name} {installed} is installed")
