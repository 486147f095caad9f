"""The program that tells where packages of a project are, in the project's own interpreter, and imports none of them.

It needs Python 3.9 or newer and nothing else. Standard input has the request, as JSON: the names of the packages, and
folders that come before all others. The last line of its output is the answer: the folders of each package.
"""

from __future__ import annotations

import sys

if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]  # this file's folder

import importlib.util
import json
import os
from types import ModuleType


def folders(package: str) -> list[str]:
    """Empty where there is no such package, or none that is made of folders."""
    name = ""
    for part in package.split("."):
        name = f"{name}.{part}" if name else part
        if name not in sys.modules:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.submodule_search_locations is None:
                return []
            sys.modules[name] = ModuleType(name)  # in its place, so that looking further down imports nothing
            sys.modules[name].__path__ = list(spec.submodule_search_locations)
    return list(getattr(sys.modules[name], "__path__", []))


def main() -> None:
    request = json.load(sys.stdin)
    sys.path[:0] = request["before"]
    sys.path.append(os.getcwd())  # noqa: PTH109 - pathlib takes longer to load than all else here; last, as in the worker
    print("\n" + json.dumps({name: folders(name) for name in request["packages"]}))  # noqa: T201 - it is the answer


if __name__ == "__main__":
    main()
