"""Runs the commands of the documentation in a shell, page by page, in their order."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bootstrapper.backups.stores.folder import backups
from tests.cli.project import Project
from tests.cli.pseudoterminal import on_terminal
from tests.migrations.projects import write_env, write_revision
from tests.test_docs import PAGES, ROOT, copy_sample
from tests.waiting import at_most

pytestmark = pytest.mark.long

_BLOCK = re.compile(r"^ *```(console|sh|yaml workflow)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_FREEZE = r"\(by .*\)|database \S+[:,]"
_FLEET = re.compile(r"[0-9.]+ m?s\b|(?<=slowest to answer: ).*|(?<=A: 3 targets: ).*|\d of 3 targets, .*\n")
"""Times, the targets in the order in which they answered, and the progress that a busy machine has time to print."""
_FACT = r"^(\w+)  +(.*)$"
_INSTALLED = re.compile(r"pip install (?:--\S+ )*([^`\n]+)")
SEED_PASSWORDS = {"SUPERADMIN_PASSWORD": "hunter2 and 3"}


@dataclass
class Reader:
    """A reader who follows a page in a separate folder.

    Attributes:
        replaced: Values of a real run by the text that the page shows instead, such as the name of a backup.
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._program("bootstrapper", f'exec {shlex.quote(sys.executable)} -m bootstrapper "$@"')
        self._program("uvicorn", "exit 0")

    def _program(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def environment(self) -> dict[str, str]:
        left_out = ("PG", "BOOTSTRAPPER_", "DATABASE_URL", "CI")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(left_out)}
        own = {"PATH": f"{self.folder / 'bin'}:{kept['PATH']}", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
        return {**kept, **own, **self.variables}

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Runs a script as CI does: it stops at the first command that fails."""
        for text, real in self.replaced.items():
            script = script.replace(text, real)
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=at_most(120),
            check=False,
        )

    def follow(self, script: str, shown: str = "") -> str:
        """Runs a script of a page; it must fail exactly if the page shows an error."""
        done = self.shell(script)
        assert (done.returncode != 0) is ("error: " in shown), f"{script}\n{done.stdout}"
        said = [line for line in shown.splitlines() if line.startswith(("error: ", "hint: ", "broken: ", "ready: "))]
        for line in said:
            assert self._real(line) in done.stdout, f"{line}\nis not in\n{done.stdout}"
        return done.stdout

    def _real(self, text: str) -> str:
        for written, real in self.replaced.items():
            text = text.replace(written, real)
        return text


def blocks_of(name: str) -> list[tuple[str, str]]:
    """Returns the commands of each block of a page, with the output shown below them."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return [split for kind, content in _BLOCK.findall(text) for split in _typed(kind, content)]


def _typed(kind: str, content: str) -> Iterator[tuple[str, str]]:
    if kind == "sh":
        yield content, ""
    elif kind == "console":
        typed = [line.removeprefix("$ ") for line in content.splitlines() if line.startswith("$ ")]
        yield "\n".join(typed), "\n".join(line for line in content.splitlines() if not line.startswith("$ "))
    else:
        for line in re.findall(r"^ +- run: (.*)$", content, re.MULTILINE):
            yield line, ""


def commands_of(name: str) -> list[tuple[str, str]]:
    """Leaves out installations, which test_only_our_own_distribution_is_installed checks."""
    return [(typed, shown) for typed, shown in blocks_of(name) if not _INSTALLED.match(typed)]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Returns a reader in a copy of the sample."""
    copy_sample(tmp_path)
    made = Reader(tmp_path, {"BOOTSTRAPPER_ENVIRONMENT": "development"})
    yield made
    made.shell("bootstrapper dev stop")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Reader]:
    """Returns a reader in the project of the tutorial: an Alembic project with a table books, and its file."""
    write_env(tmp_path)
    write_revision(tmp_path, "first", upgrade='op.execute("CREATE TABLE books (isbn text PRIMARY KEY, title text)")')
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n")
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    (text,) = [found for found in re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S) if "name: library" in found]
    (tmp_path / "bootstrap.yaml").write_text(text)
    made = Reader(tmp_path)
    yield made
    made.shell("bootstrapper dev stop")


def test_the_first_commands_of_the_readme_work(library: Reader) -> None:
    (library.folder / "bootstrap.yaml").unlink()
    (typed,) = [typed for typed, _ in commands_of("README.md") if typed.startswith("bootstrapper init")]
    library.variables["BOOTSTRAPPER_ENVIRONMENT"] = "development"
    said = library.follow(typed)
    assert "lock: free\nNothing to do." in said


def test_the_commands_of_the_first_page_work(library: Reader) -> None:
    (library.folder / "bootstrap.yaml").unlink()
    ((typed, _),) = blocks_of("docs/index.md")
    said = library.follow(typed.partition("\n")[2])
    library.variables["BOOTSTRAPPER_ENVIRONMENT"] = "development"  # for its end
    assert " applied" in said


def test_the_commands_about_connecting_work(reader: Reader) -> None:
    for typed, shown in commands_of("docs/how-to/connect.md"):
        said = reader.follow(typed, shown)
        assert "postgresql" in said or "ready" in said or "loaded snapshot" in said, said


def test_the_commands_about_backups_work(reader: Reader) -> None:
    reader.follow("bootstrapper apply")
    for typed, shown in commands_of("docs/how-to/back-up-before-migrations.md"):
        reader.follow(typed, shown)
    assert {backup.path.suffix for backup in backups(reader.folder)} == {".dump", ".sql"}


def test_the_commands_about_restoring_work(reader: Reader, database: str) -> None:
    reader.variables["DATABASE_URL"] = database
    file = reader.folder / "bootstrap.yaml"
    file.write_text(re.sub(r"    when: .*only if data is at risk\n", "", file.read_text(encoding="utf-8")))
    reader.follow("bootstrapper apply")
    taken = backups(reader.folder / "backups")[0]
    name, run = taken.path.name, taken.manifest.run_id
    assert run is not None
    reader.replaced = {"app-20261125T093412Z-9098c8f2.dump": name, "9098c8f2": run.hex[-8:]}
    for typed, _ in commands_of("docs/how-to/restore.md"):
        for line in typed.splitlines():
            agreeing(reader, database, line)


def agreeing(reader: Reader, database: str, line: str) -> None:
    """Runs a command on a terminal, and answers its question with yes."""
    for text, real in reader.replaced.items():
        line = line.replace(text, real)
    project = Project(reader.folder, database)
    said, code = on_terminal(project, shlex.split(line)[1:], b"y\n", **reader.variables)
    assert code == 0, f"{line}\n{said}"


def test_the_commands_about_pulling_work(reader: Reader, database: str) -> None:
    reader.variables["DATABASE_URL"] = database
    reader.follow("bootstrapper apply")
    with psycopg.connect(database, autocommit=True) as connection:
        for table in ("countries", "cities", "plans"):
            connection.execute(f"CREATE TABLE {table} (code text PRIMARY KEY, name text)".encode())
        connection.execute("INSERT INTO countries SELECT n, n FROM generate_series(1, 200) AS n")
    (reader.folder / "seeds").mkdir()
    for typed, shown in commands_of("docs/how-to/pull-fixtures.md"):
        reader.follow(typed, shown)
    assert (reader.folder / "seeds/countries.csv").exists()


@contextmanager
def held(reader: Reader) -> Iterator[subprocess.Popen[str]]:
    """Yields a run that is in the middle of a slow step."""
    with subprocess.Popen(
        ["bash", "-c", "exec bootstrapper apply"],
        cwd=reader.folder,
        env=reader.environment(),
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stderr is not None
        said = ""
        while "started" not in said:
            said = process.stderr.readline()
            assert said, "it ended before its step began"
        try:
            yield process
        finally:
            process.kill()


def test_the_commands_about_the_lock_work(tmp_path: Path, database: str) -> None:
    steps = "[{uses: lock}, {uses: command, name: report, with: {run: [sleep, '120']}, check: never}]"
    (tmp_path / "bootstrap.yaml").write_text(f"version: 1\ndatabase: {{url: {database}}}\nsteps: {steps}\n")
    reader = Reader(tmp_path)
    typed = [typed for typed, _ in commands_of("docs/how-to/lock.md")]
    shown = [shown for _, shown in commands_of("docs/how-to/lock.md")]
    with held(reader) as process:
        found = dict(re.findall(_FACT, reader.follow(typed[0]), re.MULTILINE))
        assert found.keys() == dict(re.findall(_FACT, shown[0], re.MULTILINE)).keys()
        assert found["step"] == "report"
        reader.replaced = {
            "01a207ee-ff5c-7924-ae70-7ac7957d1113": found["run"],
            "host vm, process 11050": f"host {found['host']}, process {found['process']}",
        }
        reader.follow(typed[2], shown[2])
        reader.follow(typed[1], shown[1])
        assert process.wait(at_most(30)) == 7


def test_the_commands_about_inspecting_work(reader: Reader) -> None:
    reader.follow("bootstrapper apply")
    for typed, shown in commands_of("docs/how-to/inspect.md"):
        said = reader.follow(typed, shown)
        facts, real = dict(re.findall(_FACT, shown, re.MULTILINE)), dict(re.findall(_FACT, said, re.MULTILINE))
        assert facts.keys() <= real.keys()


def test_the_commands_about_freezing_work(tmp_path: Path, database: str) -> None:
    (tmp_path / "bootstrap.yaml").write_text(f"version: 1\ndatabase: {{url: {database}}}\nsteps: [{{uses: lock}}]\n")
    for typed, shown in commands_of("docs/how-to/freeze.md"):
        printed = Reader(tmp_path).follow(typed).splitlines()[-1]
        assert re.sub(_FREEZE, "", printed) == re.sub(_FREEZE, "", shown.strip())


def test_the_commands_about_fleets_work(tmp_path: Path, database: str) -> None:
    shutil.copytree(ROOT / "examples" / "fleet", tmp_path, dirs_exist_ok=True)
    file = tmp_path / "bootstrap.yaml"
    file.write_text(file.read_text().replace("soak: 5s", "soak: 100ms"))
    for typed, shown in commands_of("docs/how-to/fleet.md"):
        said = Reader(tmp_path, {"DATABASE_URL": database}).follow(typed)
        first, _, last = _FLEET.sub("", shown).strip().partition("\n...\n")
        assert _FLEET.sub("", said).strip().startswith(first)
        assert _FLEET.sub("", said).strip().endswith(last)


def test_the_commands_about_resetting_work(reader: Reader) -> None:
    reader.follow("bootstrapper apply")
    for typed, shown in commands_of("docs/how-to/reset.md"):
        assert shown.rstrip() in reader.follow(typed)
    assert "15 to drop" not in reader.follow("bootstrapper reset --dry-run")


def test_the_commands_about_production_work(reader: Reader, database: str) -> None:
    plain, unset, *deploying = commands_of("docs/how-to/production.md")
    reader.variables.clear()
    reader.follow(*plain)
    reader.follow(*unset)
    reader.variables |= {"DATABASE_URL": database, **SEED_PASSWORDS}
    for typed, _ in deploying:  # only the first of them has changes to make
        reader.follow(typed)
    assert (reader.folder / "apply.json").exists()


def test_the_script_that_applies_only_pending_changes_works_under_set_e(reader: Reader, database: str) -> None:
    (typed,) = [typed for typed, _ in commands_of("docs/how-to/production.md") if typed.startswith("code=")]
    reader.variables |= {"DATABASE_URL": database, **SEED_PASSWORDS}
    assert "steps applied" in reader.follow(typed)
    assert "nothing to do" in reader.follow(typed)
    reader.variables["DATABASE_URL"] = "postgresql://127.0.0.1:1/x"
    (reader.folder / "config/production.yaml").write_text("steps: [{name: wait, with: {timeout: 100ms}}]\n")
    assert reader.shell(typed).returncode == 5  # retryable, as for any command


def test_the_workflows_work(reader: Reader, database: str) -> None:
    steps = [typed for typed, _ in commands_of("docs/how-to/run-in-ci.md")]
    for typed in steps[:3]:
        reader.follow(typed)
    reader.variables |= {
        "GITHUB_STEP_SUMMARY": str(reader.folder / "summary"),
        "DATABASE_URL": database,
        **SEED_PASSWORDS,
    }
    for typed in steps[3:5]:
        reader.follow(typed)
    reader.variables["BOOTSTRAPPER_PLAN_KEY"] = "correct horse"
    reader.variables.pop("BOOTSTRAPPER_ENVIRONMENT")  # the plan names its own
    for typed in steps[5:]:
        reader.follow(typed)
    assert (reader.folder / "summary").read_text().startswith("### mnfst-rag")
    assert len(steps) == 7


def test_the_commands_about_reviewing_a_plan_work(reader: Reader, database: str) -> None:
    reader.variables |= {"DATABASE_URL": database, "BOOTSTRAPPER_PLAN_KEY": "correct horse", **SEED_PASSWORDS}
    reader.variables.pop("BOOTSTRAPPER_ENVIRONMENT")
    ((typed, _),) = commands_of("docs/how-to/review-a-plan.md")
    assert "steps applied" in reader.follow(typed)
    assert "applied already" in reader.follow("bootstrapper apply plan.json")


def test_the_commands_about_starting_an_application_work(reader: Reader, database: str) -> None:
    reader.variables |= {"DATABASE_URL": database, **SEED_PASSWORDS}
    running, script, waiting, following = [typed for typed, _ in commands_of("docs/how-to/start-an-application.md")]
    reader.follow(running)
    reader.follow(script)
    reader.follow(following)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            f"ALTER DATABASE {database.rpartition('/')[2]} SET default_transaction_read_only = on".encode()
        )
    reader.follow(waiting)


def test_the_commands_about_plugins_work(reader: Reader) -> None:
    for typed, shown in commands_of("docs/how-to/write-a-plugin.md"):
        reader.follow(typed, shown)
    schema = (reader.folder / "config" / "bootstrap.schema.json").read_text(encoding="utf-8")
    assert (reader.folder / "plugins" / "grant_read.py").exists()
    assert (reader.folder / "bootstrapper-grant-read" / "tests" / "test_grant_read.py").exists()
    assert '"with.extension"' in schema


def test_the_commands_about_rolling_back_work(reader: Reader, database: str) -> None:
    reader.variables = {"DATABASE_URL": database, **SEED_PASSWORDS}
    reader.follow("bootstrapper apply -e production")
    bad = write_revision(reader.folder, "002", "001_initial", upgrade='op.execute("CREATE TABLE bad (id int)")')
    bad.write_text(f'{bad.read_text()}\n\ndef downgrade() -> None:\n    op.execute("DROP TABLE bad")\n')
    reader.follow("bootstrapper apply -e production")
    reader.replaced = {"--confirm app": f"--confirm {database.rpartition('/')[2]}", "4f1c": "001_initial"}
    reverting, freezing, looking, restoring, lifting = [typed for typed, _ in commands_of("docs/how-to/roll-back.md")]
    reader.follow(reverting)
    reader.follow("bootstrapper apply -e production")
    reader.follow(freezing)
    reader.follow(looking)
    reader.follow(restoring)
    assert reader.shell(lifting).returncode == 4  # the files still have the bad revision
    bad.unlink()
    assert "Nothing to do." in reader.follow(lifting)


def test_the_commands_about_monitoring_work(reader: Reader, database: str) -> None:
    reader.variables = {"DATABASE_URL": database, **SEED_PASSWORDS}
    reader.follow("bootstrapper apply -e production")
    for typed, _ in commands_of("docs/how-to/monitor.md"):
        reader.follow(typed)


def test_the_commands_about_neon_work(reader: Reader) -> None:
    ((typed, _),) = commands_of("docs/how-to/providers/neon.md")
    reader.variables |= {"PASSWORD": "secret"}
    pooled, direct = reader.follow(f"{typed}\necho $DATABASE_URL\necho $DIRECT_URL").split()
    assert (pooled.count("-pooler."), pooled.replace("-pooler.", ".")) == (1, direct)


def test_the_commands_and_limits_of_the_page_about_sizes_work(reader: Reader, database: str) -> None:
    reader.variables = {"DATABASE_URL": database, **SEED_PASSWORDS}
    (overlay,) = re.findall(r"^```yaml overlay\n(.*?)^```$", (ROOT / "docs/how-to/sizing.md").read_text(), re.M | re.S)
    (reader.folder / "config/production.yaml").write_text(overlay)
    for typed, _ in commands_of("docs/how-to/sizing.md"):
        reader.follow(typed)


def test_the_commands_about_upgrading_complete_the_ledger(reader: Reader, database: str) -> None:
    reader.variables = {"DATABASE_URL": database, **SEED_PASSWORDS}
    reader.follow("bootstrapper apply -e production")
    version = "SELECT value FROM bootstrapper.meta WHERE key = 'ledger_version'"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE bootstrapper.meta SET value = '5' WHERE key = 'ledger_version'")
        connection.execute("DELETE FROM bootstrapper.meta WHERE key LIKE 'quick:%'")  # names the release that made it
        for typed, _ in commands_of("docs/how-to/upgrade.md"):
            reader.follow(typed)
        assert connection.execute(version).fetchone() == ("6",)


RUN_HERE: dict[str, Callable[..., Any]] = {
    "README.md": test_the_first_commands_of_the_readme_work,
    "docs/index.md": test_the_commands_of_the_first_page_work,
    "docs/how-to/back-up-before-migrations.md": test_the_commands_about_backups_work,
    "docs/how-to/connect.md": test_the_commands_about_connecting_work,
    "docs/how-to/fleet.md": test_the_commands_about_fleets_work,
    "docs/how-to/freeze.md": test_the_commands_about_freezing_work,
    "docs/how-to/inspect.md": test_the_commands_about_inspecting_work,
    "docs/how-to/lock.md": test_the_commands_about_the_lock_work,
    "docs/how-to/production.md": test_the_commands_about_production_work,
    "docs/how-to/monitor.md": test_the_commands_about_monitoring_work,
    "docs/how-to/providers/neon.md": test_the_commands_about_neon_work,
    "docs/how-to/pull-fixtures.md": test_the_commands_about_pulling_work,
    "docs/how-to/reset.md": test_the_commands_about_resetting_work,
    "docs/how-to/restore.md": test_the_commands_about_restoring_work,
    "docs/how-to/review-a-plan.md": test_the_commands_about_reviewing_a_plan_work,
    "docs/how-to/roll-back.md": test_the_commands_about_rolling_back_work,
    "docs/how-to/run-in-ci.md": test_the_workflows_work,
    "docs/how-to/write-a-plugin.md": test_the_commands_about_plugins_work,
    "docs/how-to/sizing.md": test_the_commands_and_limits_of_the_page_about_sizes_work,
    "docs/how-to/upgrade.md": test_the_commands_about_upgrading_complete_the_ledger,
    "docs/how-to/start-an-application.md": test_the_commands_about_starting_an_application_work,
}
RUN_ELSEWHERE = (
    "CONTRIBUTING.md",  # by developers
    "SECURITY.md",  # about a release
    "docs/tutorial.md",  # by test_docs with all output
    "docs/how-to/deploy-with-containers.md",  # these three by platforms; tests/deploy checks them
    "docs/how-to/deploy-with-kubernetes.md",
    "docs/how-to/deploy-with-systemd.md",
    "docs/how-to/start-flask-django-celery.md",  # by tests/integrations
)


def test_every_page_with_commands_is_run() -> None:
    pages = {str(page.relative_to(ROOT)) for page in PAGES}
    assert {page for page in pages if blocks_of(page)} == {*RUN_HERE, *RUN_ELSEWHERE}


def installed() -> Iterator[Any]:
    for page in PAGES:
        for found in _INSTALLED.findall(page.read_text(encoding="utf-8")):
            yield pytest.param(found, id=f"{page.relative_to(ROOT)} {found}")
    for path in sorted((ROOT / "bootstrapper").rglob("*.py")):
        for found in _INSTALLED.findall(path.read_text(encoding="utf-8")):
            yield pytest.param(found, id=f"{path.relative_to(ROOT)} {found}")


@pytest.mark.parametrize("what", list(installed()))
def test_only_our_own_distribution_is_installed(what: str) -> None:
    """Another project owns the name bootstrapper on the public index."""
    first = shlex.split(what.removeprefix("-e ").split(",")[0].split('."')[0].rstrip('."`'))[0]
    assert re.fullmatch(r"pg-bootstrapper(\[(\w+|{name})\])?(==[\d.]+)?|wheel|-r|\.(\[dev\])?", first), what


def test_the_distribution_has_a_name_of_its_own() -> None:
    import importlib.metadata

    found = importlib.metadata.distribution("pg-bootstrapper")
    assert {point.name for point in found.entry_points if point.group == "console_scripts"} == {"bootstrapper"}
