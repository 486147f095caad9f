"""A plugin cannot end its transaction, write where it may only read, or leave its settings to others."""

from __future__ import annotations

import json

import pytest

from tests.plugin.authors import APPLY, CHANGES, Author

pytestmark = pytest.mark.long

CREATE = "context.connection.execute('CREATE TABLE public.sneaked ()')"
LEAVES = [
    "context.connection.rollback()",
    "context.connection.commit()",
    "context.connection.close()",
    "context.connection.autocommit = True",
    "context.connection.set_autocommit(True)",
    "context.connection.isolation_level = None",
    "context.connection.execute('COMMIT')",
    "context.connection.execute('ROLLBACK')",
    "context.connection.execute('COMMIT; CREATE TABLE public.sneaked ()')",
    "context.connection.execute('COMMIT; BEGIN; CREATE TABLE public.sneaked ()')",
    "context.connection.cursor().execute('COMMIT')",
    "context.connection.cursor(binary=True).execute('COMMIT')",
    "context.sqlalchemy().exec_driver_sql('COMMIT')",
    "with context.connection: pass",
]
READING = {
    "changes": "{}",
    "findings": "def findings(self, context, changes):\n    {}\n    return []",
    "bounds": "def bounds(self, context, changes):\n    {}\n    return None",
    "done_reason": "def done_reason(self, context):\n    {}\n    return 'done'",
}


def reads(author: Author, method: str, code: str) -> None:
    steps = "- uses: mark"
    if method == "changes":
        author.step(changes=f"{code}\n{CHANGES}")
        return
    if method == "bounds":
        steps = "- uses: sql\n  with: {statement: SELECT 1}\n  check: never\n- uses: mark"
    changes = "return []" if method == "done_reason" else CHANGES
    author.step(changes=changes, more=READING[method].format(code.replace("\n", "\n    ")), steps=steps)


@pytest.mark.parametrize("method", READING)
@pytest.mark.parametrize("leaves", LEAVES)
def test_what_reads_cannot_leave_its_transaction(author: Author, method: str, leaves: str) -> None:
    reads(author, method, f"{leaves}\n{CREATE}")
    assert f"Mark.{method}() " in author.refused("plan")
    assert author.tables() == []


@pytest.mark.parametrize("leaves", LEAVES)
def test_an_ended_transaction_is_found_although_its_error_was_swallowed(author: Author, leaves: str) -> None:
    reads(author, "changes", f"try:\n    {leaves}\n    {CREATE}\nexcept BaseException:\n    pass")
    author.run("plan")
    assert author.tables() == []


@pytest.mark.parametrize("leaves", LEAVES)
def test_apply_cannot_leave_its_transaction(author: Author, leaves: str) -> None:
    author.step(apply=f"{leaves}\n{APPLY.replace('TABLE marks', 'TABLE public.marks')}")
    said = author.refused("apply")
    assert "bootstrap.yaml:8:5: " in said
    assert "plugin" in said or "the step ended its transaction" in said
    assert "marks" not in author.tables()


@pytest.mark.parametrize(
    ("leaves", "said"),
    [
        ("context.connection.commit()", "used commit() of the connection, whose transaction is not its own"),
        ("context.connection.execute('COMMIT')", "ended its transaction; its earlier work may be committed"),
    ],
)
def test_the_line_that_ends_a_transaction_is_named(author: Author, leaves: str, said: str) -> None:
    author.step(apply=f"x = 1\n{leaves}")
    line = author.line_of(leaves)
    assert f"bootstrap.yaml:8:5: plugin {author.plugin}: Mark.apply() {said}, line {line}\n" in author.refused("apply")


@pytest.mark.parametrize(
    ("ends", "is_undone"),
    [
        ("context.connection.execute('COMMIT')", False),
        ("context.connection.cursor().execute('commit; begin')\nraise KeyError('no luck')", False),
        ("context.connection.cursor().execute('commit; begin')\ncontext.connection.execute('SELECT 1/0')", False),
        ("context.connection.execute('ROLLBACK')", True),
        ("raise KeyError('no luck')", True),
    ],
)
def test_a_step_that_committed_is_not_called_rolled_back(author: Author, ends: str, is_undone: bool) -> None:
    author.step(apply=f"{APPLY}\n{ends}")
    assert ("; rolled back" in author.refused("apply")) == is_undone
    assert (author.tables() == []) == is_undone
    author.step(changes="return [Change.run('again')]", apply=ends)
    events = [json.loads(line) for line in author.run("apply", "--log-format", "json").stderr.splitlines()]
    assert [each["rolled_back"] for each in events if each.get("event") == "step_failed"] == [is_undone]


def test_a_step_that_committed_is_not_retried(author: Author) -> None:
    fails = "context.connection.execute(\"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$\")"
    author.step(apply=f"{APPLY}\ncontext.connection.cursor().execute('commit; begin')\n{fails}")
    said = author.refused("apply")
    assert "x (SQLSTATE 40001)" in said
    assert "rolled back" not in said
    assert author.tables() == ["marks"]


def test_a_savepoint_around_what_may_fail_is_allowed(author: Author) -> None:
    fails = "with context.connection.transaction(): context.connection.execute('SELECT 1/0')"
    code = f"try:\n    {fails}\nexcept Exception:\n    pass"
    author.step(changes=f"{code}\n{CHANGES}", apply=f"{code}\n{APPLY}")
    assert author.run("apply").returncode == 0


def test_a_caught_error_of_the_server_does_not_concern_other_steps(author: Author) -> None:
    author.step(changes="try: context.connection.execute('SELECT 1/0')\nexcept Exception: return []")
    author.project.write(
        (author.project.folder / "bootstrap.yaml").read_text()
        + "  - uses: sql\n    with: {statement: SELECT 1}\n    check: {sql: 'SELECT true'}\n"
    )
    assert author.run("plan", "--exit-code").returncode == 0


@pytest.mark.parametrize(
    "setting",
    [
        "context.connection.row_factory = __import__('psycopg').rows.dict_row",
        "context.connection.cursor_factory = __import__('psycopg').ClientCursor",
        "context.connection.adapters.register_loader('int4', __import__('psycopg').types.string.TextLoader)",
        "context.connection.execute('SET search_path TO pg_toast')",
        "context.connection.execute('SET ROLE pg_monitor')",
        "context.connection.execute(\"SET DateStyle TO 'SQL, DMY'\")",
    ],
)
@pytest.mark.parametrize("borrows", ["True", "False"])
def test_settings_end_with_the_call(author: Author, setting: str, borrows: str) -> None:
    code = f"borrows_session = {borrows}"
    empty = "context.connection.execute(\"SELECT to_regclass('public.marks')\").fetchone()"
    changes = f"found = {empty}\n{setting}\nreturn [Change.create('table marks')] if found == (None,) else []"
    author.step(
        changes=changes, apply=f"context.connection.execute('CREATE TABLE public.marks ()')\n{setting}", more=code
    )
    author.project.write(
        (author.project.folder / "bootstrap.yaml").read_text()
        + "  - uses: sql\n    with: {statement: CREATE TABLE later ()}\n    check: {table: later}\n"
    )
    done = author.run("apply")
    assert done.returncode == 0, done.stderr
    assert author.tables() == ["later", "marks"]
    assert author.run("plan", "--exit-code").returncode == 0
    assert "done" in author.run("history").stdout


@pytest.mark.parametrize("transactional", ["True", "False"])
@pytest.mark.parametrize("borrows", ["True", "False"])
def test_a_session_that_was_made_read_only_is_writable_for_later_steps(
    author: Author, transactional: str, borrows: str
) -> None:
    code = f"transactional = {transactional}\nborrows_session = {borrows}"
    setting = "context.connection.execute('SET default_transaction_read_only TO on')"
    changes = CHANGES.replace("'marks'", "'public.marks'")
    author.step(
        changes=changes, apply=f"context.connection.execute('CREATE TABLE public.marks ()')\n{setting}", more=code
    )
    author.project.write(
        (author.project.folder / "bootstrap.yaml").read_text()
        + "  - uses: sql\n    with: {statement: CREATE TABLE later ()}\n    check: {table: later}\n"
    )
    done = author.run("apply")
    assert (done.returncode, author.tables()) == (0, ["later", "marks"]), done.stderr


PROBE = """
class Ready(Check[str | None]):
    key = "ready"

    def probe(self): return Probe({statement!r})
    def answer(self, rows): return Answer.yes()

class Other(Ready):
    key = "other"

    def probe(self): return Probe("SELECT true")

@hookimpl
def bootstrapper_checks(): return [Ready, Other]
"""


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT true; COMMIT; CREATE TABLE public.sneaked ()",
        "COMMIT; CREATE TABLE public.sneaked (); SELECT true",
        "COMMIT",
        "ROLLBACK",
        "CREATE TABLE public.sneaked ()",
    ],
)
@pytest.mark.parametrize("when", ["", "\n  when: other"])
def test_a_probe_cannot_leave_its_transaction(author: Author, statement: str, when: str) -> None:
    author.write(
        PROBE.format(statement=statement), f"- uses: sql\n  with: {{statement: SELECT 1}}\n  check: ready{when}"
    )
    assert "check ready" in author.refused("plan")
    assert author.tables() == []


GATE = """
class Door(Gate):
    uses = "door"

    def open(self, context):
        {open}

@hookimpl
def bootstrapper_steps():
    return [Door]
"""
WRITES = [
    CREATE,
    "context.connection.cursor().execute('CREATE TABLE public.sneaked ()')",
    "context.connection.cursor().executemany('CREATE TABLE public.sneaked ()', [()])",
    "context.sqlalchemy().exec_driver_sql('CREATE TABLE public.sneaked ()')",
    "context.connection.execute('SELECT 1; COMMIT; CREATE TABLE public.sneaked ()')",
    "with context.connection.transaction(): context.connection.execute('CREATE TABLE public.sneaked ()')",
]


@pytest.mark.parametrize("writes", WRITES)
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_gate_only_reads(author: Author, command: str, writes: str) -> None:
    author.write(GATE.format(open=writes), "- uses: door\n- uses: sql\n  with: {statement: SELECT 1}\n  check: never")
    assert "door" in author.refused(command).lower()
    assert author.tables() == []


def test_a_gate_sees_what_is_committed_meanwhile_and_leaves_nothing(author: Author) -> None:
    body = (
        "import psycopg\n"
        "        ask = lambda: context.connection.execute(\"SELECT to_regclass('public.marks')\").fetchone()\n"
        "        assert ask() == (None,)\n"
        f"        with psycopg.connect({author.project.url!r}) as other: other.execute('CREATE TABLE marks ()')\n"
        "        assert ask() == ('public.marks',)\n"
        "        try: context.connection.execute('SELECT 1/0')\n"
        "        except psycopg.Error: pass\n"
        "        context.connection.execute('SET search_path TO pg_toast')"
    )
    steps = "- uses: door\n- uses: sql\n  with: {statement: CREATE TABLE later ()}\n  check: {table: later}"
    author.write(GATE.format(open=body), steps)
    done = author.run("apply")
    assert (done.returncode, author.tables()) == (0, ["later", "marks"]), done.stderr


ALLOWED = {
    "a cursor on the server": (
        "with context.connection.cursor(name='many') as cursor:\n"
        "    assert cursor.execute('SELECT generate_series(1, 5)').fetchall()[-1] == (5,)"
    ),
    "COPY to the client": (
        "with context.connection.cursor().copy('COPY (SELECT 1) TO STDOUT') as copy:\n"
        "    assert [bytes(each) for each in copy] == [b'1\\n']"
    ),
    "a pipeline": (
        "with context.connection.pipeline():\n    found = context.connection.execute('SELECT 1')\n"
        "assert found.fetchone() == (1,)"
    ),
    "rows as dictionaries": (
        "from psycopg.rows import dict_row\ncursor = context.connection.cursor(row_factory=dict_row)\n"
        "assert cursor.execute('SELECT 1 AS n').fetchall() == [{'n': 1}]"
    ),
    "composed SQL": (
        "from psycopg import sql\n"
        "assert context.connection.execute(sql.SQL('SELECT {}').format(sql.Literal('a;b'))).fetchone() == ('a;b',)"
    ),
    "SQLAlchemy": (
        "from sqlalchemy import text\n"
        "assert context.sqlalchemy().execute(text('SELECT :n'), {'n': '1'}).scalar() == '1'"
    ),
}


@pytest.mark.parametrize("code", ALLOWED.values(), ids=ALLOWED)
def test_what_psycopg_offers_works_where_it_reads_and_where_it_writes(author: Author, code: str) -> None:
    author.step(changes=f"{code}\n{CHANGES}", apply=f"{code}\n{APPLY}")
    assert author.run("apply").returncode == 0
    assert author.run("plan", "--exit-code").returncode == 0


def test_rows_are_copied_to_the_server(author: Author) -> None:
    copies = (
        "with context.connection.cursor().copy('COPY marks FROM STDIN') as copy:\n    copy.write_row(('one',))\n"
        "context.connection.cursor().executemany('INSERT INTO marks VALUES (%s)', [('two',), ('three',)])\n"
        "assert context.connection.execute('SELECT count(*) FROM marks').fetchone() == (3,)"
    )
    author.step(apply=f"{APPLY}\n{copies}")
    assert author.run("apply").returncode == 0


def test_a_step_outside_transactions_commits_each_statement_and_may_open_transactions(author: Author) -> None:
    apply = (
        "with context.connection.transaction():\n    context.connection.execute('CREATE TABLE marks (text text)')\n"
        "context.connection.execute('CREATE INDEX CONCURRENTLY ON marks (text)')"
    )
    author.step(apply=apply, more="transactional = False")
    done = author.run("apply")
    assert (done.returncode, author.tables()) == (0, ["marks"]), done.stderr
