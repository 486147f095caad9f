"""What a step remembers: committed with its changes or not at all, and read by later steps."""

from __future__ import annotations

import signal

import psycopg
import pytest

from tests.plugin.authors import Author

READS = """\
seen = context.state.read()
return [] if seen == {"n": 1} else [Change.run(f"remember after {seen!r}")]
"""
WRITES = 'context.state.write({"n": 1})'
STORED = "SELECT key, split_part(value, ' ', 2) FROM bootstrapper.meta WHERE key LIKE 'state:%' ORDER BY key"


def stored(author: Author) -> dict[str, str]:
    with psycopg.connect(author.project.url) as connection:
        return dict(connection.execute(STORED).fetchall())


def test_a_step_reads_what_it_wrote_also_in_a_plan(author: Author) -> None:
    author.step(changes=READS, apply=WRITES)
    assert "remember after None" in author.run("plan").stdout
    done = author.run("apply")
    assert done.returncode == 0, done.stderr
    assert (stored(author), author.run("plan", "--exit-code").returncode) == ({"state:mark": '{"n":'}, 0)


@pytest.mark.parametrize("transactional", [True, False])
def test_a_state_is_kept_by_steps_of_either_kind(author: Author, transactional: bool) -> None:
    author.step(changes=READS, apply=WRITES, more=f"transactional = {transactional}")
    assert author.run("apply").returncode == 0
    assert author.run("plan", "--exit-code").returncode == 0


def test_what_is_written_is_rolled_back_with_the_changes(author: Author) -> None:
    author.step(changes=READS, apply=f"{WRITES}\n1/0")
    author.refused("apply")
    assert stored(author) == {}


def test_a_killed_step_leaves_no_state(author: Author) -> None:
    author.step(changes=READS, apply=f"{WRITES}\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert author.project.spawn("apply").returncode == -signal.SIGKILL
    assert stored(author) == {}


def test_each_part_commits_its_own_state(author: Author) -> None:
    author.step(
        changes="done = context.state.read() or 0\nreturn [Change.run(f'part {n}') for n in range(done, 3)]",
        apply="n = int(changes[0].target.split()[1])\ncontext.state.write(n + 1)\nif n == 2: 1/0",
        more="def parts(self, context, changes): return ([each] for each in changes)",
    )
    author.refused("apply")
    assert stored(author) == {"state:mark": "2"}
    assert "1 to run" in author.run("plan").stdout


@pytest.mark.parametrize(
    ("where", "more"),
    [
        ("changes", ""),
        ("prepare", "def prepare(self, context, changes): context.state.write(1)"),
        ("findings", "def findings(self, context, changes): context.state.write(1)"),
        ("parts", "def parts(self, context, changes): context.state.write(1)"),
    ],
)
def test_a_state_is_written_by_apply_alone(author: Author, where: str, more: str) -> None:
    changes = f"{WRITES}\n{READS}" if where == "changes" else READS
    author.step(changes=changes, apply=WRITES, more=more)
    said = author.refused("plan" if where == "findings" else "apply")
    assert f"Mark.{where}() raised RuntimeError: context.state is written by `apply` alone, line" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("object()", "the state of step 'mark' is not JSON: Object of type object is not JSON serializable"),
        ("float('nan')", "the state of step 'mark' is not JSON: Out of range float values"),
        ("'x' * 65_535", "the state of step 'mark' has 65,537 bytes; 65,536 are allowed"),
        ("{'token': 'Grüße'}", "the state of step 'mark' holds a secret, which the ledger never does"),
    ],
)
def test_what_cannot_be_kept_is_refused(author: Author, value: str, said: str) -> None:
    secret = "- uses: mark\n  with: {text: {$env: {name: TOKEN, secret: true}}}"
    author.step(changes=READS, apply=f"context.state.write({value})", steps=secret)
    done = author.run("apply", TOKEN="Grüße")
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert "Grüße" not in done.stderr


@pytest.mark.parametrize("secret", ["hunter2", "correcthorsebattery", 'pä"s\\s w0rd9', "12345678"])
@pytest.mark.parametrize(
    "value",
    [
        *("[{'log': 'out:\\n' + secret}]", "{'a\\t' + secret: 1}", "{'a': json.dumps({'b': [secret]})}"),
        *("{1: secret, '1': secret}", "int(secret) if secret.isdigit() else secret"),
    ],
)
def test_a_secret_is_found_wherever_it_stands_in_the_document(author: Author, value: str, secret: str) -> None:
    steps = "- uses: mark\n  with: {text: {$env: {name: TOKEN, secret: true}}}"
    apply = f"import json\nsecret = context.options.text\ncontext.state.write({value})"
    author.step(changes=READS, apply=apply, steps=steps)
    done = author.run("apply", TOKEN=secret)
    assert (done.returncode, "holds a secret, which the ledger never does" in done.stderr) == (1, True), done.stderr
    assert stored(author) == {}


@pytest.mark.parametrize("value", ["'x' * 65_534", "'\\0 \\ud800 € 😀'", "[None, True, 1.5, {'a': []}]"])
def test_all_of_json_is_kept_as_it_was(author: Author, value: str) -> None:
    author.step(
        changes=f"return [] if context.state.read() == {value} else [Change.run('it')]",
        apply=f"context.state.write({value})",
    )
    done = author.run("apply")
    assert done.returncode == 0, done.stderr


LATER = """
class Later(Step):
    uses = "later"

    def changes(self, context):
        found = context.state.of({other!r})
        return [] if context.state.read() == found else [Change.run(f"copy {{found!r}}", payload=found)]

    def apply(self, context, changes):
        context.state.write(changes[0].payload)

@hookimpl
def bootstrapper_steps():
    return [Mark, Later]
"""


def with_later(author: Author, other: str = "mark") -> None:
    author.step(changes=READS, apply=WRITES, steps="- uses: mark\n- uses: later")
    text = author.plugin.read_text()
    author.plugin.write_text(text[: text.index("@hookimpl")] + LATER.format(other=other))


def test_a_later_step_reads_what_an_earlier_one_wrote_in_the_same_run(author: Author) -> None:
    with_later(author)
    planned = author.run("plan").stdout
    assert "? later  as declared now; mark may change it" in planned, planned
    done = author.run("apply")
    assert done.returncode == 0, done.stderr
    assert list(stored(author)) == ["state:later", "state:mark"]
    assert author.run("plan", "--exit-code").returncode == 0


def test_the_state_of_a_step_that_the_file_does_not_have_is_a_fault(author: Author) -> None:
    with_later(author, "marc")
    assert "Later.changes() raised ValueError: the file has no step 'marc', line" in author.refused("plan")


def test_objects_of_others_do_not_change_what_is_read(author: Author) -> None:
    with psycopg.connect(author.project.url) as connection:
        connection.execute("CREATE FUNCTION public.strpos(text, text) RETURNS int LANGUAGE sql AS 'SELECT 3'")
        connection.execute("CREATE FUNCTION public.never(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false'")
        connection.execute("CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.never)")
        connection.execute(
            "DO $$ BEGIN EXECUTE format("
            "'ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$"
        )
    author.step(changes=READS, apply=WRITES)
    done = author.run("apply")
    assert done.returncode == 0, done.stderr
    assert author.run("plan", "--exit-code").returncode == 0


def test_a_role_that_may_not_read_the_ledger_is_told_so(author: Author) -> None:
    author.step(changes=READS, apply=WRITES)
    author.run("apply")
    with psycopg.connect(author.project.url) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    try:
        url = psycopg.conninfo.conninfo_to_dict(author.project.url)
        address = f"postgresql://reader:reader@{url['host']}:{url['port']}/{url['dbname']}"
        said = author.run("plan", DATABASE_URL=address)
        assert (said.returncode, "may not read the ledger" in said.stderr) == (6, True), said.stderr
    finally:
        with psycopg.connect(author.project.url) as connection:
            connection.execute("DROP ROLE reader")
