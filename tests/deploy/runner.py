"""Runs action.yml as a runner of GitHub does: its steps in their order, with their variables and files.

GitHub itself cannot be reached from a test: a `gh` on PATH keeps the comments in a file and records what it is asked.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.places import ROOT
from tests.waiting import at_most

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
_EXPRESSION = re.compile(r"\$\{\{ ([\w.-]+) \}\}")
_GH = r"""
import json, os, sys
from pathlib import Path

place = Path(os.environ["GH_PLACE"])
arguments = sys.argv[1:]
with (place / "asked").open("a") as file:
    print(json.dumps(arguments), file=file)
if (place / "refuse").exists() and "--silent" in arguments:
    sys.exit("HTTP 403: Resource not accessible by integration")
kept = json.loads((place / "comments").read_text()) if (place / "comments").exists() else {}
if "--jq" in arguments:
    assert arguments[arguments.index("--jq") + 1] == ".[] | select(.body | startswith(env.MARKER)) | .id"
    print("\n".join(id for id, body in kept.items() if body.startswith(os.environ["MARKER"])))
else:
    body = Path(arguments[arguments.index("-F") + 1].removeprefix("body=@")).read_text()
    path = arguments[arguments.index("--method") + 2]
    kept[path.rsplit("/", 1)[1] if "PATCH" in arguments else str(len(kept) + 1)] = body
    (place / "comments").write_text(json.dumps(kept))
"""
_PYTHON = r"""#!/bin/sh
if [ "$1" != -m ]; then exec {python} "$@"; fi
mkdir -p "$3/bin"
printf '#!/bin/sh\necho "$@" >> {place}/installed\n' > "$3/bin/pip"
printf '#!/bin/sh\nexec {python} -m bootstrapper "$@"\n' > "$3/bin/bootstrapper"
chmod +x "$3/bin/pip" "$3/bin/bootstrapper"
"""


@dataclass
class Runner:
    """A job in a checkout.

    Attributes:
        place: The runner's own folder.
        said: What the steps printed.
    """

    checkout: Path
    place: Path
    variables: dict[str, str]
    said: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.place / "bin").mkdir(parents=True)
        self._program("gh", f"#!{sys.executable}\n{_GH}")
        self._program("python3", _PYTHON.format(python=sys.executable, place=self.place))
        self.event(pull_request=7)
        self.summary.touch()

    def _program(self, name: str, text: str) -> None:
        path = self.place / "bin" / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def event(self, **numbers: int) -> None:
        data = {name: {"number": number} for name, number in numbers.items()}
        (self.place / "event.json").write_text(json.dumps(data), encoding="utf-8")

    @property
    def summary(self) -> Path:
        return self.place / "summary"

    @property
    def comments(self) -> dict[str, str]:
        kept = self.place / "comments"
        return dict(json.loads(kept.read_text(encoding="utf-8"))) if kept.exists() else {}

    @property
    def installed(self) -> str:
        return (self.place / "installed").read_text(encoding="utf-8")

    def run(self, **inputs: str) -> int:
        """Runs the action's steps up to the first that fails, and returns its exit code."""
        assert inputs.keys() <= ACTION["inputs"].keys()
        given = {name: inputs.get(name, str(known["default"])) for name, known in ACTION["inputs"].items()}
        path = self.path
        for step in ACTION["runs"]["steps"]:
            variables = {name: _filled(text, given) for name, text in step["env"].items()}
            code = self.step(step["run"], {**variables, "PATH": path})
            added = (self.place / "path").read_text(encoding="utf-8").split()
            path = ":".join([*added, path])
            if code != 0:
                return code
        return 0

    @property
    def path(self) -> str:
        return f"{self.place / 'bin'}:{os.environ['PATH']}"

    def step(self, script: str, given: dict[str, str]) -> int:
        """Runs the script of one step with its own variables, and returns its exit code."""
        files = {name: self.place / name for name in ("output", "path")}
        for file in files.values():
            file.write_text("", encoding="utf-8")
        variables = {
            **{name: text for name, text in os.environ.items() if not name.startswith(("PG", "BOOTSTRAPPER_"))},
            **self.variables,
            "PATH": self.path,
            **given,
            "PYTHONPATH": str(ROOT),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_EVENT_PATH": str(self.place / "event.json"),
            "GITHUB_OUTPUT": str(files["output"]),
            "GITHUB_PATH": str(files["path"]),
            "GITHUB_REPOSITORY": "someone/shop",
            "GITHUB_RUN_ID": "42",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": "0" * 40,
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GH_PLACE": str(self.place),
            "RUNNER_TEMP": str(self.place / "temp"),
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.checkout,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=at_most(120),
            check=False,
        )
        self.said += done.stdout
        pairs = [line.split("=", 1) for line in files["output"].read_text(encoding="utf-8").splitlines()]
        self.outputs |= dict(pairs)
        return done.returncode


def _filled(text: str, inputs: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        kind, name = found[1].split(".", 1)
        return inputs[name] if kind == "inputs" else f"<{found[1]}>"

    return _EXPRESSION.sub(value, text)
