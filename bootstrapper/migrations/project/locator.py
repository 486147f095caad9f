"""The program that locates packages of a project in the project's own interpreter, without importing them.

It requires only Python 3.9 or newer. Standard input is the request, as JSON: the names of the packages, and folders
that come first in the search path. The last line of its output is the answer: the folders of each package.
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
    """Returns the folders of a package; none if it does not exist, or has no folder."""
    name = ""
    for part in package.split("."):
        name = f"{name}.{part}" if name else part
        if name not in sys.modules:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.submodule_search_locations is None:
                return []
            sys.modules[name] = ModuleType(name)  # a placeholder, so that the search for a subpackage imports nothing
            sys.modules[name].__path__ = list(spec.submodule_search_locations)
    return list(getattr(sys.modules[name], "__path__", []))


def main() -> None:
    request = json.load(sys.stdin)
    sys.path[:0] = request["before"]
    sys.path.append(os.getcwd())  # noqa: PTH109 - pathlib takes longer to load than all else here; last, as in the worker
    print("\n" + json.dumps({name: folders(name) for name in request["packages"]}))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
