"""States in which the quick look once said that nothing is to do, while an ordinary run did not."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import psycopg
import pytest

from tests.quick.looks import Looks

pytestmark = pytest.mark.long

BOOTSTRAP = """\
version: 1
name: trial
database: {url: "${DATABASE_URL}"}
environments: {here: {file: conf/here.yaml}, live: {protected: true}}
plugins: [./plugins]
steps:
  - uses: wait
  - uses: lock
  - uses: sql
    with: {statement: "CREATE TABLE notes (label text PRIMARY KEY, body text)"}
    check: {table: notes}
  - uses: seed
  - uses: sql
    name: last
    with: {file: last.sql}
    check: {sql: "SELECT EXISTS (SELECT FROM notes WHERE label = 'last')"}
fixtures:
  notes: {key: [label], mode: update, rows: {one: {label: one, body: BODY}}}
"""
PLUGIN = """
import shutil
from pathlib import Path
from bootstrapper import Change, Gate, Step, hookimpl


class Door(Gate):
    uses = "door"

    def open(self, context):
        if Path(__file__).with_name("closed").exists():
            raise ValueError("closed")


class Edit(Step):
    uses = "edit"
    pure = True

    def changes(self, context):
        found = context.connection.execute("SELECT to_regclass('edited')").fetchone()[0]
        return [] if found else [Change.create("it")]

    def apply(self, context, changes):
        context.connection.execute("CREATE TABLE edited ()")
        folder = Path(__file__).parents[1]
        shutil.copytree(folder / "next", folder, dirs_exist_ok=True)


@hookimpl
def bootstrapper_steps():
    return [Door, Edit]
"""


@pytest.fixture
def notes(tmp_path: Path, database: str) -> Looks:
    made = Looks(tmp_path, database)
    made.write(BOOTSTRAP.replace("BODY", "plain"))
    made.write("limits: {timeout: 60s}\n", "conf/here.yaml")
    made.write("INSERT INTO notes VALUES ('last')", "last.sql")
    made.write(PLUGIN, "plugins/door.py")
    made.write("ONE", "name.txt")
    return made


def agree(looks: Looks, **variables: str) -> bool:
    """Returns whether the quick look answered; asserts that it answered as the ordinary run did."""
    found = looks.quick(**variables)
    code, lines = looks.ordinary(**variables)
    assert found is None or (code, found) == (0, lines)
    return found is not None


@pytest.mark.parametrize("body", ['{$env: "${NAME}"}', "{$env: {name: {$file: name.txt}}}", "{$env: ONE}"])
def test_a_variable_whose_name_is_not_written_in_the_file(notes: Looks, body: str) -> None:
    notes.write(BOOTSTRAP.replace("BODY", body))
    notes.apply(NAME="ONE", ONE="first")
    agree(notes, NAME="ONE", ONE="first")
    assert not agree(notes, NAME="ONE", ONE="second")


@pytest.mark.parametrize("body", ["{$file: {$env: NAME}}", '{$file: "${NAME}"}', "{$file: text.txt}"])
def test_a_file_whose_path_is_not_written_in_the_file(notes: Looks, body: str) -> None:
    notes.write(BOOTSTRAP.replace("BODY", body))
    notes.write("first", "text.txt")
    notes.apply(NAME="text.txt")
    agree(notes, NAME="text.txt")
    notes.write("second", "text.txt")
    assert not agree(notes, NAME="text.txt")


def test_a_file_that_an_overlay_in_another_folder_names(notes: Looks) -> None:
    notes.write("fixtures: {notes: {rows: {one: {body: {$file: text.txt}}}}}\n", "conf/here.yaml")
    notes.write("first", "conf/text.txt")
    notes.apply()
    notes.write("second", "conf/text.txt")
    assert not agree(notes)


def test_a_gate_of_a_plugin_that_does_not_open_any_more(notes: Looks) -> None:
    notes.write(BOOTSTRAP.replace("BODY", "plain").replace("  - uses: lock\n", "  - uses: door\n  - uses: lock\n"))
    notes.apply()
    notes.write("", "plugins/closed")
    assert not agree(notes)


@pytest.mark.parametrize("folder", ["plugins", "plugins/__pycache__", "plugins/more/__pycache__"])
def test_plugins_of_a_protected_environment_that_others_may_write_to_now(notes: Looks, folder: str) -> None:
    (notes.folder / folder).mkdir(exist_ok=True, parents=True)
    assert notes.run("apply", "-e", "live").returncode == 0
    assert notes.quick("-e", "live") is not None
    (notes.folder / folder).chmod(0o777)
    assert notes.quick("-e", "live") is None
    assert notes.run("plan", "-e", "live").returncode != 0


EDITS = {
    "the file": ("bootstrap.yaml", BOOTSTRAP.replace("BODY", "another")),
    "the overlay": ("conf/here.yaml", "fixtures: {notes: {rows: {one: {body: another}}}}\n"),
    "the file of a value": ("text.txt", "another"),
}


@pytest.mark.parametrize(("name", "text"), EDITS.values(), ids=EDITS)
def test_a_file_that_was_edited_while_the_run_was_at_work(notes: Looks, name: str, text: str) -> None:
    last = "  - uses: edit\nfixtures:\n"
    notes.write(BOOTSTRAP.replace("BODY", "{$file: text.txt}").replace("fixtures:\n", last))
    notes.write("first", "text.txt")
    notes.write(text.replace("fixtures:\n", last), f"next/{name}")
    notes.apply()
    assert (notes.folder / name).read_text() == (notes.folder / "next" / name).read_text()
    assert not agree(notes)


@pytest.fixture
def release(looks: Looks, tmp_path_factory: pytest.TempPathFactory) -> Looks:
    """A project behind a link, as a deployment switches from one release to the next."""
    folder = tmp_path_factory.mktemp("releases")
    for name in ("first", "second"):
        shutil.copytree(looks.folder, folder / name)
    (folder / "current").symlink_to("first")
    return Looks(folder / "current", looks.url)


def test_a_release_behind_a_link_that_leads_to_another_one_now(release: Looks) -> None:
    release.apply()
    assert agree(release)
    release.folder.unlink()
    release.folder.symlink_to("second")
    assert agree(release)
    revision = release.folder / "migrations" / "versions" / "second_.py"
    text = revision.read_text()
    assert "revision = 'second'" in text
    revision.write_text(text.replace("revision = 'second'", "revision = 'zwei'"))
    assert not agree(release)


def test_a_revision_behind_a_link_inside_the_folder(looks: Looks) -> None:
    versions = looks.folder / "migrations" / "versions"
    shutil.copytree(versions, looks.folder / "first")
    shutil.copytree(versions, looks.folder / "second")
    revision = looks.folder / "second" / "second_.py"
    revision.write_text(revision.read_text().replace("revision = 'second'", "revision = 'zwei'"))
    shutil.rmtree(versions)
    versions.symlink_to("../first")
    looks.apply()
    assert agree(looks)
    versions.unlink()
    versions.symlink_to("../second")
    assert not agree(looks)


@pytest.mark.parametrize(
    "right", ["UPDATE ON bootstrapper.meta", "UPDATE (value) ON bootstrapper.meta", "INSERT ON bootstrapper.meta"]
)
def test_a_record_that_a_role_of_less_rights_may_have_written_is_not_asked(notes: Looks, right: str) -> None:
    notes.apply()
    assert agree(notes)
    role = f"writer_of_{psycopg.conninfo.conninfo_to_dict(notes.url)['dbname']}"
    notes.execute(f"CREATE ROLE {role}")
    try:
        notes.execute(f"GRANT {right} TO {role}")
        notes.execute(f"UPDATE bootstrapper.meta SET value = '{planted(notes)}' WHERE key LIKE 'quick:%'")
        assert not agree(notes)
        with psycopg.connect(notes.url) as connection:
            assert connection.execute("SELECT to_regclass('public.planted')").fetchone() == (None,)
    finally:
        notes.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def planted(looks: Looks) -> str:
    """Returns a record whose statements leave the READ ONLY transaction, and write."""
    with psycopg.connect(looks.url) as connection:
        (text,) = connection.execute("SELECT value FROM bootstrapper.meta WHERE key LIKE 'quick:%'").fetchone() or ("",)
    statements = [b"COMMIT", b"CREATE TABLE public.planted ()", b"COMMIT"]
    return json.dumps(
        {**json.loads(text), "statements": [(b64encode(each).decode(), [], [], [], 0) for each in statements]}
    )


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("", {"PGHOST": "127.0.0.1,127.0.0.1", "PGPORT": "1,2"}),
        ("?host=127.0.0.1,localhost", {}),
        ("?host=127.0.0.1%2Clocalhost", {}),
        ("?sslmode=prefer&service=trial", {}),
    ],
)
def test_addresses_that_are_shown_otherwise(notes: Looks, query: str, variables: dict[str, str]) -> None:
    notes.apply()
    assert agree(notes, DATABASE_URL=f"{notes.url}?sslmode=prefer")
    notes.write("[trial]\n", "services")
    assert not agree(notes, DATABASE_URL=notes.url + query, PGSERVICEFILE=str(notes.folder / "services"), **variables)


REVISION = '"""third"""\nrevision = "third"\ndown_revision = "second"\n\n\ndef upgrade():\n    pass\n'


def test_a_history_that_only_alembic_can_read(looks: Looks) -> None:
    looks.write("[alembic]\nscript_location = migrations\nsourceless = true\n", "alembic.ini")
    looks.apply()
    agree(looks)
    looks.write(REVISION, "migrations/versions/third_.py")
    assert not agree(looks)


def test_a_package_that_is_found_elsewhere_now(looks: Looks) -> None:
    """PYTHONPATH is read by the interpreter, and not by what the quick look knows of."""
    for name in ("old", "new"):
        shutil.copytree(looks.folder / "migrations", looks.folder / name / "shop" / "migrations")
        looks.write("", f"{name}/shop/__init__.py")
    looks.write(REVISION, "new/shop/migrations/versions/third_.py")
    file = looks.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("script_location: migrations", 'script_location: "shop:migrations"'))
    path = looks.variables()["PYTHONPATH"]
    looks.apply(PYTHONPATH=f"{looks.folder}/old:{path}")
    agree(looks, PYTHONPATH=f"{looks.folder}/old:{path}")
    assert not agree(looks, PYTHONPATH=f"{looks.folder}/new:{path}")


STREAMS = ["<&- >&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full", "2>&1 | true"]


@pytest.mark.parametrize("redirection", STREAMS)
@pytest.mark.parametrize("quick", ["on", "off"])
def test_streams_that_are_closed_or_full_do_not_matter(notes: Looks, redirection: str, quick: str) -> None:
    notes.apply()
    program = ["run", "-e", "here", "--", "sh", "-c", "exit 7"]
    words = notes.command(*program)
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {redirection}', "bash", *words],
        cwd=notes.folder,
        env=notes.variables({"BOOTSTRAPPER_QUICK": quick}),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (7, False)


LOCKER = """
import os
import psycopg
from bootstrapper import Change, Step, hookimpl

KEPT = []


class Locker(Step):
    uses = "locker"
    pure = True
    transactional = False

    def changes(self, context):
        found = context.connection.execute("SELECT to_regclass('locked')").fetchone()[0]
        return [] if found else [Change.create("it")]

    def apply(self, context, changes):
        context.connection.execute("CREATE TABLE locked ()")
        KEPT.append(psycopg.connect(os.environ["DATABASE_URL"]))
        KEPT[0].execute("LOCK TABLE notes")


@hookimpl
def bootstrapper_steps():
    return [Locker]
"""


@pytest.mark.parametrize("timeout", ["4s", "60s"])
def test_a_table_that_is_locked_once_the_work_is_done_does_not_make_the_run_fail(notes: Looks, timeout: str) -> None:
    notes.write(LOCKER, "plugins/locker.py")
    notes.write(BOOTSTRAP.replace("BODY", "plain").replace("fixtures:\n", "  - uses: locker\nfixtures:\n"))
    done = notes.spawn("apply", "-e", "here", "--timeout", timeout)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("value", ["garbage", "[]", "{}", '{"recorded_at": "never"}', "null"])
def test_a_record_that_is_none_neither_answers_nor_makes_a_run_fail(notes: Looks, value: str) -> None:
    notes.apply()
    notes.execute(f"UPDATE bootstrapper.meta SET value = '{value}' WHERE key LIKE 'quick:%'")
    notes.execute(f"INSERT INTO bootstrapper.meta VALUES ('quick:another', '{value}')")
    assert not agree(notes)
    notes.execute("DELETE FROM notes WHERE label = 'last'")
    notes.apply()
    assert agree(notes)
