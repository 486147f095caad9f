"""The hazards and findings of a plan as SARIF 2.1.0, which code hosts show at their line of the file."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from bootstrapper.plans import Danger, Finding, Hazard, Plan
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.text import dumps, one_line

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_FINDING = "finding"
_LEVELS = {Danger.DESTROYS: "warning", Danger.BLOCKS: "warning", Danger.WARNS: "note"}


class SARIFRenderer(Renderer):
    format = "sarif"

    def plan(self, plan: Plan) -> str:
        """Returns a log with one run; a result without a place of its own is placed in the configuration file."""
        hazards = [hazard for step in plan.steps for hazard in step.hazards]
        findings = [finding for step in plan.steps for finding in step.findings]
        driver = {"name": "bootstrapper", "rules": list(_rules(hazards, findings))}
        if plan.version:
            driver["semanticVersion"] = plan.version
        results = [self._hazard(hazard) for hazard in hazards] + [self._finding(finding) for finding in findings]
        return dumps(
            {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
        )

    def _hazard(self, hazard: Hazard) -> dict[str, Any]:
        level = {True: "note", False: "error", None: _LEVELS[hazard.name.danger]}[hazard.allowed]
        return self._result(hazard.name.value, level, hazard, hazard.place)

    def _finding(self, finding: Finding) -> dict[str, Any]:
        return self._result(_FINDING, "warning", finding, "")

    def _result(self, rule: str, level: str, found: Hazard | Finding, place: str) -> dict[str, Any]:
        said = f"{one_line(found.target)}: {one_line(found.message, longest=None)}"
        text = f"{said}\n{one_line(found.remedy, longest=None)}" if found.remedy else said
        location = {"physicalLocation": self._physical(place or PurePath(self.file).name)}
        return {"ruleId": rule, "level": level, "message": {"text": text}, "locations": [location]}

    def _physical(self, place: str) -> dict[str, Any]:
        """Returns `migrations/versions/4f1c.py:12`, which starts at the configuration file, as file and region."""
        file, colon, line = place.rpartition(":")
        if not (colon and line.isdecimal()):
            return {"artifactLocation": {"uri": self._uri(place)}}
        return {"artifactLocation": {"uri": self._uri(file)}, "region": {"startLine": int(line)}}

    def _uri(self, file: str) -> str:
        path = PurePath(os.path.normpath(PurePath(self.file).parent / file))
        return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _rules(hazards: Sequence[Hazard], findings: Sequence[Finding]) -> Iterator[dict[str, Any]]:
    """Yields a rule for each name that occurs."""
    for name in dict.fromkeys(hazard.name for hazard in hazards):
        yield _rule(name.value, name.meaning, _LEVELS[name.danger]) | {"help": {"text": name.safer}}
    if findings:
        yield _rule(
            _FINDING, "Something that the reader of a plan should know, and that apply does not fix.", "warning"
        )


def _rule(name: str, meaning: str, level: str) -> dict[str, Any]:
    return {"id": name, "shortDescription": {"text": meaning}, "defaultConfiguration": {"level": level}}
