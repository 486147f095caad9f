"""Prints the results of a SARIF file as commands that make a runner of GitHub annotate lines: annotate.py FILE."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def main() -> None:
    log = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.writelines(f"{_command(result)}\n" for run in log["runs"] for result in run["results"])


def _command(result: dict[str, Any]) -> str:
    place = result["locations"][0]["physicalLocation"]
    properties = {"file": unquote(place["artifactLocation"]["uri"]), "title": result["ruleId"]}
    if "region" in place:
        properties["line"] = str(place["region"]["startLine"])
    given = ",".join(f"{name}={_escaped(text, ':,')}" for name, text in properties.items())
    return f"::{_COMMANDS[result['level']]} {given}::{_escaped(result['message']['text'])}"


def _escaped(text: str, more: str = "") -> str:
    """Returns the text as workflow commands have it: line breaks, and separators in properties, are encoded."""
    return "".join(f"%{ord(each):02X}" if each in f"%\r\n{more}" else each for each in text)


if __name__ == "__main__":
    main()
