"""Prints what CHANGELOG.md says about a release, if its tag is that of the version in the package: notes.py v0.1.0."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(tag: str) -> None:
    version = found(r'^__version__ = "(.*)"$', ROOT / "bootstrapper" / "__init__.py")
    if tag != f"v{version}":
        sys.exit(f"the tag is {tag}, but the version of the package is {version}")
    notes = found(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## \[|\Z)", ROOT / "CHANGELOG.md")
    sys.stdout.write(f"{notes.strip()}\n")


def found(pattern: str, file: Path) -> str:
    match = re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if match is None:
        sys.exit(f"{file.name} does not have the section of this version with its date")
    return match[1]


if __name__ == "__main__":
    main(sys.argv[1])
