"""What others say reaches neither the terminal nor a line of its own."""

from __future__ import annotations

import io
import json

import psycopg
import pytest

from bootstrapper import errors
from bootstrapper.cli import failures
from bootstrapper.cli.output import escaped, print_data, print_message
from bootstrapper.masking import Masker
from tests.cli.project import Project
from tests.cli.pseudoterminal import on_terminal

HOSTILE = "x\x1b[2J\x1b]0;title\x07\r\nerror: forged\x9b31m\u202eback\u2028end"
SHOWN = "x\\x1b[2J\\x1b]0;title\\x07\\r\\nerror: forged\\x9b31m\\u202eback\\u2028end"
OBEYED = [*map(chr, (*range(10), *range(11, 32), *range(127, 160))), "\u202e", "\u2028", "\u2066", "\u200f"]
IN_SQL = "".join(f"\\{ord(letter):04x}" for letter in HOSTILE)
TRIGGER = f"""
CREATE TABLE notes (id int PRIMARY KEY, body text);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING MESSAGE = U&'{IN_SQL}', HINT = U&'{IN_SQL}'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION refuse();
"""
HEAD = 'version: 1\nname: sample\ndatabase: {url: "${DATABASE_URL}"}\n'
SEED = f"{HEAD}steps: [{{uses: lock}}, {{uses: seed}}]\nfixtures: {{notes: {{key: [id], rows: [{{id: 1}}]}}}}\n"


@pytest.fixture
def refusing(project: Project) -> Project:
    """A table whose trigger answers with what a terminal would obey."""
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute(TRIGGER.encode())
    project.write(SEED)
    return project


def require_harmless(text: str) -> None:
    assert [letter for letter in text if letter in OBEYED] == []
    assert [line for line in text.splitlines() if line.startswith("error: forged")] == []


def test_the_message_of_a_trigger_forges_no_line(refusing: Project) -> None:
    done = refusing.run("apply")
    require_harmless(done.stderr)
    assert SHOWN in done.stderr
    assert done.returncode == 1


def test_the_message_and_the_hint_of_a_statement_forge_no_line(refusing: Project) -> None:
    refusing.write(
        f"{HEAD}steps: [{{uses: lock}}, {{uses: sql, with: {{statement: INSERT INTO notes VALUES (1)}}, check: never}}]"
    )
    done = refusing.run("apply")
    require_harmless(done.stderr)
    assert done.stderr.count(SHOWN) == 2


def test_what_the_ledger_kept_of_it_forges_no_line(refusing: Project) -> None:
    refusing.run("apply")
    said = refusing.run("history")
    require_harmless(said.stdout)
    assert "forged" in said.stdout
    with psycopg.connect(refusing.url) as connection:
        (row,) = connection.execute("SELECT error FROM bootstrapper.runs").fetchall()
    require_harmless(row[0])


def test_json_of_it_is_json_and_harmless(refusing: Project) -> None:
    failed = refusing.run("apply", "--log-format", "json", "--report", "report.json")
    require_harmless(failed.stderr)
    assert HOSTILE in json.loads(failed.stderr.splitlines()[-1])["message"]
    require_harmless((refusing.folder / "report.json").read_text())
    require_harmless(refusing.run("history", "--format", "json").stdout)


def test_values_in_a_plan_are_harmless_in_every_format(refusing: Project) -> None:
    refusing.write(
        f"{HEAD}steps: [{{uses: lock}}, {{uses: seed}}]\n"
        f"fixtures: {{notes: {{key: [id], rows: [{{id: 1, body: {json.dumps(HOSTILE)}}}]}}}}\n"
    )
    for form in ("text", "markdown", "json"):
        shown = refusing.run("plan", "--format", form)
        require_harmless(shown.stdout)
        assert "forged" in shown.stdout
    plan = json.loads(refusing.run("plan", "--format", "json").stdout)
    assert plan["steps"][1]["changes"][0]["after"]["body"] == HOSTILE


def test_what_a_program_prints_is_harmless(project: Project) -> None:
    project.write(HOSTILE, "said.txt")
    steps = "[{uses: lock}, {uses: command, with: {run: [sh, -c, cat said.txt; exit 1]}, check: never}]"
    project.write(f"{HEAD}steps: {steps}\n")
    require_harmless(project.run("apply").stderr)


def test_a_live_view_obeys_nothing_either(refusing: Project) -> None:
    text, code = on_terminal(refusing, ["apply"])
    assert code == 1
    assert "\x1b]0;title" not in text
    assert "\x1b[2J" not in text
    assert "forged" in text


def test_the_name_of_a_file_forges_no_line(offline: Project) -> None:
    done = offline.run("plan", "-f", f"missing{HOSTILE}.yaml")
    require_harmless(done.stderr)
    assert done.returncode == 2


def test_the_output_of_a_renderer_of_a_plugin_is_harmless(project: Project) -> None:
    plugin = f"""
from bootstrapper import hookimpl
from bootstrapper.plugin.renderer import Renderer

class Loud(Renderer):
    format = "loud"

    def plan(self, plan):
        return {HOSTILE!r}

@hookimpl
def bootstrapper_renderers():
    return [Loud]
"""
    project.write(plugin, "plugins/loud.py")
    project.write(f"{HEAD}plugins: [./plugins]\nsteps: [{{uses: lock}}]\n")
    done = project.run("plan", "--format", "loud")
    assert (done.returncode, [letter for letter in done.stdout if letter in OBEYED]) == (0, [])


def test_a_line_of_an_error_is_cut_where_it_is_very_long(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.StepFailedError("x" * 100_000, hint="y" * 100_000)
    failures.report(error, Masker(), as_json=False, colour=False)
    assert len(capsys.readouterr().err) < 5_000
    failures.report(error, Masker(), as_json=True, colour=False)
    assert len(capsys.readouterr().err) < 5_000


def test_a_number_of_5000_digits_is_not_printed_whole(offline: Project) -> None:
    number = "9" * 5000
    offline.write(
        f"version: 1\ndatabase: {{url: postgresql://h/d}}\nsteps: [{{uses: wait, with: {{timeout: '{number}'}}}}]\n"
    )
    assert len(offline.run("validate").stderr) < 3_000
    assert len(offline.run("plan", "--timeout", number).stderr) < 3_000


def test_further_lines_of_an_error_are_lines_and_breaks_within_one_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.BackupError("pg_dump failed", details=["one\nerror: forged", "two"])
    failures.report(error, Masker(), as_json=False, colour=False)
    assert capsys.readouterr().err == "error: pg_dump failed\n  one\\nerror: forged\n  two\n"


def test_our_own_colours_stay_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert escaped("\x1b[31merror:\x1b[0m no\x1b[35m") == "\x1b[31merror:\x1b[0m no\\x1b[35m"
    stream = io.StringIO()
    print_message("one\ntwo", stream)
    assert stream.getvalue() == "one\\ntwo\n"
    print_data("one\ntwo\r")
    assert capsys.readouterr().out == "one\ntwo\\r\n"
