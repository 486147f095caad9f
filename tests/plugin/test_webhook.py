"""The example package plugins/webhook: its own tests, and whole runs that list it as an installed distribution."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.project import Project
from tests.plugin.authors import FILE
from tests.samples import ROOT

PACKAGE = ROOT / "plugins" / "webhook"
SQL = "  - {{uses: sql, with: {{statement: {statement}}}, check: never}}"
SECRET = "correct-horse-battery"


class Receiver(ThreadingHTTPServer):
    """Notes what is posted, and answers with a status."""

    daemon_threads = True
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posts: list[tuple[dict[str, object], str]] = []


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((json.loads(body), self.headers["X-Webhook-Secret"]))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def project(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in whose Python the package is installed, as an installer would leave it."""
    declared = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    info = tmp_path / "site" / f"bootstrapper_webhook-{declared['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {declared['name']}\nVersion: {declared['version']}\n")
    points = declared["entry-points"]["bootstrapper"]
    (info / "entry_points.txt").write_text(
        "[bootstrapper]\n" + "".join(f"{name} = {module}\n" for name, module in points.items())
    )
    monkeypatch.syspath_prepend(PACKAGE)
    monkeypatch.syspath_prepend(info.parent)
    return Project(tmp_path, database)


def declare(project: Project, statement: str) -> None:
    text = FILE.format(steps=SQL.format(statement=statement))
    project.write(text.replace("[./plugins]", "[bootstrapper-webhook]"))


def variables(receiver: Receiver) -> dict[str, str]:
    url = f"http://127.0.0.1:{receiver.server_port}/path"
    return {"BOOTSTRAPPER_WEBHOOK_URL": url, "BOOTSTRAPPER_WEBHOOK_SECRET": SECRET}


def test_its_own_tests_pass() -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(PACKAGE / "pyproject.toml")],
        cwd=PACKAGE,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("statement", "outcome"), [("SELECT 1", "done"), ("SELECT 1/0", "failed")])
def test_the_end_of_a_run_is_posted(project: Project, receiver: Receiver, statement: str, outcome: str) -> None:
    declare(project, statement)
    done = project.run("apply", **variables(receiver))
    assert (done.returncode == 0) == (outcome == "done")
    [(facts, secret)] = receiver.posts
    assert (facts["command"], facts["outcome"], secret) == ("apply", outcome, SECRET)
    assert ("division by zero" in str(facts["reason"])) == (outcome == "failed")


def test_a_post_that_fails_is_one_warning_without_the_secret(project: Project, receiver: Receiver) -> None:
    declare(project, "SELECT 1")
    receiver.status = 500
    done = project.run("apply", **variables(receiver))
    assert (done.returncode, len(receiver.posts)) == (0, 1)
    assert "warning: plugin bootstrapper-webhook (bootstrapper_webhook): bootstrapper_events raised HTTPError: " in (
        done.stderr
    )
    assert SECRET not in done.stderr
    assert "/path" not in done.stderr


def test_a_url_of_another_kind_is_an_error_of_the_configuration(project: Project) -> None:
    declare(project, "SELECT 1")
    done = project.run("validate", BOOTSTRAPPER_WEBHOOK_URL="ftp://example.com/")
    assert done.returncode == 2
    assert "$BOOTSTRAPPER_WEBHOOK_URL is not a URL that starts with http:// or https://" in done.stderr


def test_the_package_is_not_a_plugin_of_the_folder_that_it_is_in(project: Project) -> None:
    project.write(FILE.format(steps="").replace("./plugins", str(ROOT / "plugins")))
    listed = json.loads(project.run("plugins", "list", "--format", "json").stdout)
    assert [(each["name"], each["failure"]) for each in listed if each["origin"].startswith(str(ROOT))] == [
        ("read_only_role", None)
    ]
