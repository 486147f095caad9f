"""Tests that foreign text cannot forge a line or control the terminal."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.cli.project import Project
from tests.cli.pseudoterminal import on_terminal

HOSTILE = "x\x1b[2J\x1b]0;title\x07\r\nerror: forged\x9b31m\u202eback\u2028end"


SHOWN = "x\\x1b[2J\\x1b]0;title\\x07\\r\\nerror: forged\\x9b31m\\u202eback\\u2028end"


CONTROLS = [*map(chr, (*range(10), *range(11, 32), *range(127, 160))), "\u202e", "\u2028", "\u2066", "\u200f"]


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
    """A table whose trigger raises an error with control characters."""
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute(TRIGGER.encode())
    project.write(SEED)
    return project


def require_escaped(text: str) -> None:
    assert [letter for letter in text if letter in CONTROLS] == []
    assert [line for line in text.splitlines() if line.startswith("error: forged")] == []


def test_a_message_of_a_trigger_cannot_forge_a_line(refusing: Project) -> None:
    done = refusing.run("apply")
    require_escaped(done.stderr)
    assert SHOWN in done.stderr
    assert done.returncode == 1


def test_message_and_hint_of_a_statement_cannot_forge_a_line(refusing: Project) -> None:
    refusing.write(
        f"{HEAD}steps: [{{uses: lock}}, {{uses: sql, with: {{statement: INSERT INTO notes VALUES (1)}}, check: never}}]"
    )
    done = refusing.run("apply")
    require_escaped(done.stderr)
    assert done.stderr.count(SHOWN) == 2


def test_an_error_in_the_ledger_cannot_forge_a_line(refusing: Project) -> None:
    refusing.run("apply")
    said = refusing.run("history")
    require_escaped(said.stdout)
    assert "forged" in said.stdout
    with psycopg.connect(refusing.url) as connection:
        (row,) = connection.execute("SELECT error FROM bootstrapper.runs").fetchall()
    require_escaped(row[0])


def test_hostile_text_is_escaped_in_valid_json(refusing: Project) -> None:
    failed = refusing.run("apply", "--log-format", "json", "--report", "report.json")
    require_escaped(failed.stderr)
    assert HOSTILE in json.loads(failed.stderr.splitlines()[-1])["message"]
    require_escaped((refusing.folder / "report.json").read_text())
    require_escaped(refusing.run("history", "--format", "json").stdout)


def test_values_in_a_plan_are_escaped_in_every_format(refusing: Project) -> None:
    refusing.write(
        f"{HEAD}steps: [{{uses: lock}}, {{uses: seed}}]\n"
        f"fixtures: {{notes: {{key: [id], rows: [{{id: 1, body: {json.dumps(HOSTILE)}}}]}}}}\n"
    )
    for form in ("text", "markdown", "json"):
        shown = refusing.run("plan", "--format", form)
        require_escaped(shown.stdout)
        assert "forged" in shown.stdout
    plan = json.loads(refusing.run("plan", "--format", "json").stdout)
    assert plan["steps"][1]["changes"][0]["after"]["body"] == HOSTILE


def test_the_output_of_a_program_is_escaped(project: Project) -> None:
    project.write(HOSTILE, "said.txt")
    steps = "[{uses: lock}, {uses: command, with: {run: [sh, -c, cat said.txt; exit 1]}, check: never}]"
    project.write(f"{HEAD}steps: {steps}\n")
    require_escaped(project.run("apply").stderr)


def test_the_live_view_escapes_foreign_text(refusing: Project) -> None:
    text, code = on_terminal(refusing, ["apply"])
    assert code == 1
    assert "\x1b]0;title" not in text
    assert "\x1b[2J" not in text
    assert "forged" in text


def test_a_file_name_cannot_forge_a_line(offline: Project) -> None:
    done = offline.run("plan", "-f", f"missing{HOSTILE}.yaml")
    require_escaped(done.stderr)
    assert done.returncode == 2


def test_the_output_of_a_plugin_renderer_is_escaped(project: Project) -> None:
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
    assert (done.returncode, [letter for letter in done.stdout if letter in CONTROLS]) == (0, [])


def test_a_number_of_5000_digits_is_truncated(offline: Project) -> None:
    number = "9" * 5000
    offline.write(
        f"version: 1\ndatabase: {{url: postgresql://h/d}}\nsteps: [{{uses: wait, with: {{timeout: '{number}'}}}}]\n"
    )
    assert len(offline.run("validate").stderr) < 3_000
    assert len(offline.run("plan", "--timeout", number).stderr) < 3_000
