"""What goes wrong around the engine: odd files, odd roles, odd plugins, lost connections."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bootstrapper.api import locking, run
from bootstrapper.api.run import Outcome
from bootstrapper.builtin.steps.lock import Lock
from bootstrapper.engine import digest as inputs
from bootstrapper.engine.reconnect import MOST_COMEBACKS
from bootstrapper.errors import (
    BootstrapperError,
    ExitCode,
    GuardError,
    InvalidFileError,
    LockTimeoutError,
    NotConvergedError,
    PluginError,
    RefusedError,
    StepFailedError,
    UnreachableError,
    UsageError,
)
from bootstrapper.events import LockAwaited, RunFinished, RunStarted, StepFailed, Warned
from bootstrapper.plans import State
from bootstrapper.postgres.ledger.ledger import LedgerNames
from bootstrapper.postgres.lock import turnstile
from bootstrapper.postgres.lock.lock import advisory_key
from tests.projects import TrialProject
from tests.servers import Server
from tests.waiting import at_most, eventually

ONE_TABLE = """
steps:
  - uses: lock
    with: {timeout: 200ms}
  - uses: sql
    name: one
    with: {statement: "CREATE TABLE one ()"}
    check: {table: one}
"""


@pytest.fixture
def role(server: Server, project: TrialProject) -> Iterator[Callable[..., None]]:
    """Makes the project log in as a role of its own, with settings; the role may create nothing."""
    name = f"role_{threading.get_ident()}_{time.monotonic_ns()}"
    owner = project.database
    server.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'p'")

    def use(*statements: str) -> None:
        with psycopg.connect(owner, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.replace("{role}", f'"{name}"').encode())
        database = owner.rpartition("/")[2]
        project.database = f"postgresql://{name}:p@127.0.0.1:{server.port}/{database}"

    yield use
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
    server.execute(f'DROP ROLE "{name}"')


@contextmanager
def locked(database: str) -> Iterator[None]:
    """Somebody else holds the advisory lock."""
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (advisory_key(LedgerNames()),))
        yield


def plugin(project: TrialProject, body: str, name: str = "note", folder: str = "plugins") -> None:
    head = "from bootstrapper import *\nfrom bootstrapper import hookimpl\n"
    project.write(head + body, f"{folder}/{name}.py")


STEP = """
class Note(Step):
    uses = "note"
    {attributes}
    def changes(self, context):
        {changes}
    def apply(self, context, changes):
        {apply}

@hookimpl
def bootstrapper_steps():
    return [Note]
"""

NOTE = "plugins: [./plugins]\nsteps:\n  - uses: lock\n    with: {timeout: 200ms}\n  - uses: note\n"


def note(project: TrialProject, apply: str = "pass", changes: str = "", attributes: str = "pass") -> None:
    asked = "return [Change.create('note')] if not context.connection.execute("
    asked += "\"SELECT to_regclass('note') IS NOT NULL\").fetchone()[0] else []"
    plugin(project, STEP.format(apply=apply, changes=changes or asked, attributes=attributes))
    project.write(NOTE)


# The file


@pytest.mark.parametrize("key", ["when", "check"])
@pytest.mark.parametrize("raw", ["{not: null}", "[null]", "{all: [null]}", "{any: [{table: one}, null]}"])
def test_a_check_left_empty_inside_a_condition_is_a_problem(project: TrialProject, key: str, raw: str) -> None:
    checked = f"    check: never\n    when: {raw}\n" if key == "when" else f"    check: {raw}\n"
    project.write('steps:\n  - uses: lock\n  - uses: sql\n    with: {statement: "SELECT 1"}\n' + checked)
    with pytest.raises(InvalidFileError) as caught:
        project.plan()
    assert [problem.source is not None for problem in caught.value.problems] == [True]


FIXTURES = """
steps:
  - uses: lock
  - uses: seed
fixtures:
  things:
    key: [id]
    when: {when}
    rows: [{{id: 1}}]
"""


def test_a_fixture_whose_when_says_no_is_not_seeded(project: TrialProject) -> None:
    project.rows("CREATE TABLE things (id int PRIMARY KEY)")
    project.write(FIXTURES.format(when="{table: other}"))
    assert project.plan().pending == ()
    assert project.apply().applied == ()
    assert project.rows("SELECT * FROM things") == []


def test_the_when_of_a_fixture_is_not_asked_again_once_its_rows_are_there(project: TrialProject) -> None:
    project.rows("CREATE TABLE things (id int PRIMARY KEY)")
    project.write(FIXTURES.format(when='{sql: "SELECT count(*) = 0 FROM things"}'))
    assert [step.name for step in project.apply().applied] == ["seed"]
    assert project.rows("SELECT * FROM things") == [(1,)]
    assert project.apply().applied == ()


def test_the_when_of_a_fixture_may_ask_what_is_pending_in_this_run(project: TrialProject) -> None:
    project.write(
        FIXTURES.format(when="{pending: [create]}").replace(
            "  - uses: seed",
            "  - uses: seed\n    when: {table: things}\n  - uses: sql\n    name: create\n"
            '    with: {statement: "CREATE TABLE later ()"}\n    check: {table: later}',
        )
    )
    project.rows("CREATE TABLE things (id int PRIMARY KEY)")
    assert [step.name for step in project.apply().applied] == ["seed", "create"]


@pytest.mark.parametrize("when", ["{tabel: x}", "[null]", "{pending: [seed]}"])
def test_the_when_of_a_fixture_is_read_with_the_file(project: TrialProject, when: str) -> None:
    project.write(FIXTURES.format(when=when))
    with pytest.raises(InvalidFileError):
        project.plan()


def test_a_second_lock_is_a_problem_of_the_file(project: TrialProject) -> None:
    project.write(ONE_TABLE + "  - uses: lock\n    name: again\n")
    with pytest.raises(InvalidFileError, match="lock"):
        project.plan()


def test_pending_asks_about_steps_and_not_about_the_lock(project: TrialProject) -> None:
    project.write(ONE_TABLE + "    when: {pending: [lock]}\n")
    with pytest.raises(InvalidFileError, match="lock"):
        project.plan()


def test_a_seed_step_with_a_mistake_does_not_leave_its_fixtures_without_a_step(project: TrialProject) -> None:
    project.write(FIXTURES.format(when="{table: x}").replace("- uses: seed", "- uses: seed\n    with: {fixtuers: []}"))
    with pytest.raises(InvalidFileError) as caught:
        project.plan()
    assert [problem.message for problem in caught.value.problems if "seeded by no step" in problem.message] == []


def test_environments_that_are_an_empty_text_are_none(project: TrialProject) -> None:
    project.write("environments: ''\n" + ONE_TABLE)
    assert len(project.plan().pending) == 1


def test_a_variable_that_is_no_text_is_a_problem_with_its_place(project: TrialProject) -> None:
    project.variables["ODD"] = "\udcff"
    project.write(ONE_TABLE + "    when: {sql: \"SELECT '${ODD}' = 'a'\"}\n")
    with pytest.raises(InvalidFileError, match="ODD is no text in UTF-8"):
        project.plan()


@pytest.mark.parametrize("schema", ['My "Ledger"', "é", "a{b}", "sch'ema"])
def test_the_ledgers_schema_may_have_any_name(project: TrialProject, schema: str) -> None:
    project.write(f"ledger: {{schema: {json.dumps(schema)}}}\n" + ONE_TABLE)
    assert len(project.apply().applied) == 1
    last = project.status().last_run
    assert last is not None
    assert last.outcome == "done"


# Planning


def test_a_step_that_asks_about_a_contradiction_does_not_go_round_in_circles(project: TrialProject) -> None:
    note(project, changes="return []")
    project.write(
        "plugins: [./plugins]\nsteps:\n  - uses: lock\n  - uses: sql\n    name: before\n"
        '    with: {statement: "SELECT 1"}\n    when: {pending: [note]}\n    check: never\n'
        "  - uses: note\n    check: {table: absent}\n"
    )
    with pytest.raises(NotConvergedError, match="'note'"):
        project.plan()


def test_a_contradiction_at_the_steps_turn_is_an_error_before_anything_is_applied(project: TrialProject) -> None:
    note(project, changes="return []", apply="raise AssertionError('was applied')")
    project.write(
        "plugins: [./plugins]\nsteps:\n  - uses: lock\n  - uses: sql\n    name: before\n"
        '    with: {statement: "SELECT 1"}\n    check: never\n'
        "  - uses: note\n    check: {table: absent}\n"
    )
    assert project.plan().steps[-1].state is State.DEFERRED
    with pytest.raises(NotConvergedError):
        project.apply()


def test_a_when_without_an_answer_does_not_matter_where_nothing_is_to_do(project: TrialProject) -> None:
    note(project, changes="return []")
    project.write(NOTE + '    when: {sql: "SELECT wanted FROM nowhere"}\n')
    assert project.plan().pending == ()
    project.write(
        NOTE + '    when: {sql: "SELECT wanted FROM nowhere"}\n'
        '  - uses: sql\n    with: {statement: "CREATE TABLE one ()"}\n    check: {table: one}\n'
    )
    assert [step.name for step in project.apply().applied] == ["sql"]


def test_a_deferred_step_is_bounded_by_nothing_where_nothing_is_known(project: TrialProject) -> None:
    note(project, changes="return []")
    project.write(NOTE + '    check: {sql: "SELECT done FROM nowhere"}\n')
    assert [item.at_most for item in project.plan().steps[-1].deferred] == [None]


def test_a_question_that_is_not_needed_may_be_wrong(project: TrialProject) -> None:
    project.write(ONE_TABLE + '    when: {all: [{table: absent}, {sql: "SELECT 1/0 = 1"}]}\n')
    assert project.plan().steps[-1].state is State.SKIPPED


def test_a_step_that_can_not_look_is_a_failed_step_and_no_bug(project: TrialProject) -> None:
    note(project, changes="context.connection.execute('SELECT * FROM nowhere')")
    with pytest.raises(StepFailedError, match="step 'note': relation \"nowhere\" does not exist") as caught:
        project.plan()
    assert caught.value.sqlstate == "42P01"


def test_what_sqlalchemy_wraps_is_a_failed_step_and_shows_no_parameters(project: TrialProject) -> None:
    note(
        project,
        apply="from sqlalchemy import text\n"
        "        context.sqlalchemy().execute(text('SELECT :x / 0, :y'), {'x': 1, 'y': 'hidden'})",
    )
    with pytest.raises(StepFailedError, match="division by zero") as caught:
        project.apply()
    assert "hidden" not in str(caught.value)
    assert project.rows("SELECT error FROM bootstrapper.runs") == [(str(caught.value),)]


def test_a_check_of_its_own_means_that_misses_a_table_has_no_answer(project: TrialProject) -> None:
    plugin(
        project,
        """
class Own(Check):
    key = "own"
    Argument = str
    def ask(self, context):
        context.connection.execute(self.argument)
        return Answer.yes()

@hookimpl
def bootstrapper_checks():
    return [Own]
""",
    )
    steps = "plugins: [./plugins]\n" + ONE_TABLE.replace(
        "check: {table: one}", "check: {any: [{own: 'X'}, {table: one}]}"
    )
    project.write(steps.replace("'X'", "TABLE nowhere"))
    assert project.plan().steps[-1].check is not None
    assert project.plan().steps[-1].state is State.DEFERRED
    assert len(project.apply().applied) == 1
    project.write(steps.replace("'X'", "SELECT 1/0"))
    with pytest.raises(BootstrapperError, match="check own cannot be evaluated: division by zero"):
        project.plan()


def test_a_connection_that_dies_while_planning_is_an_unreachable_database(project: TrialProject) -> None:
    note(project, changes="context.connection.execute('SELECT pg_terminate_backend(pg_backend_pid())')")
    with pytest.raises(UnreachableError):
        project.plan()


def test_a_probe_that_ends_the_connection_is_an_unreachable_database(project: TrialProject) -> None:
    project.write(ONE_TABLE.replace("{table: one}", '{sql: "SELECT pg_terminate_backend(pg_backend_pid())"}'))
    with pytest.raises(UnreachableError):
        project.plan()


def test_a_look_does_not_outlast_the_run(project: TrialProject) -> None:
    project.write(ONE_TABLE.replace("{table: one}", '{sql: "SELECT pg_sleep(30) IS NULL"}'))
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        project.plan(timeout_seconds=1.0)
    assert time.monotonic() - started < at_most(10)


# Applying


def test_a_step_that_ends_its_transaction_is_found_out(project: TrialProject) -> None:
    note(project, apply="context.connection.execute('CREATE TABLE note ()'); context.connection.execute('COMMIT')")
    with pytest.raises(StepFailedError, match="transaction"):
        project.apply()
    assert project.rows("SELECT count(*) FROM bootstrapper.steps") == [(0,)]


def test_a_step_that_begins_a_transaction_of_its_own_is_found_out(project: TrialProject) -> None:
    note(
        project,
        apply="context.connection.execute('COMMIT'); context.connection.execute('BEGIN')\n"
        "        context.connection.execute('CREATE TABLE public.note ()')",
    )
    with pytest.raises(StepFailedError, match="transaction"):
        project.apply()
    assert not project.has("note")


def test_a_step_that_swallows_an_error_of_the_server_fails(project: TrialProject) -> None:
    note(
        project,
        apply="context.connection.execute('CREATE TABLE note ()')\n"
        "        try: context.connection.execute('SELECT 1/0')\n"
        "        except Exception: pass",
    )
    with pytest.raises(StepFailedError, match="aborted"):
        project.apply()
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]


def test_what_a_failed_step_left_open_is_not_committed(project: TrialProject) -> None:
    note(
        project,
        attributes="transactional = False",
        apply="context.connection.execute('BEGIN'); context.connection.execute('CREATE TABLE note ()')\n"
        "        raise RuntimeError('half way')",
    )
    with pytest.raises(RuntimeError, match="half way"):
        project.apply()
    assert not project.has("note")
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]


def test_a_step_outside_a_transaction_may_not_leave_one_open(project: TrialProject) -> None:
    note(
        project,
        attributes="transactional = False",
        apply="context.connection.execute('BEGIN'); context.connection.execute('CREATE TABLE note ()')",
    )
    with pytest.raises(StepFailedError, match="transaction"):
        project.apply()
    assert not project.has("note")


def end_holder(project: TrialProject) -> None:
    """Ends the connection of the run once its program is at work."""
    assert eventually(lambda: (project.folder / "started").exists())
    project.rows("SELECT pg_terminate_backend(backend_pid) FROM bootstrapper.lock")


def test_a_step_whose_connection_died_gets_no_new_one_without_the_fence(project: TrialProject) -> None:
    note(
        project,
        apply="try: context.connection.execute('SELECT pg_terminate_backend(pg_backend_pid())')\n"
        "        except Exception: context.connection.execute('CREATE TABLE note ()')",
    )
    with pytest.raises(UnreachableError):
        project.apply()
    assert not project.has("note")
    assert len([event for event in project.events if isinstance(event, Warned)]) == MOST_COMEBACKS


def test_a_run_whose_connection_is_lost_comes_back_and_does_the_step_once(project: TrialProject) -> None:
    note(
        project,
        apply="from pathlib import Path\n"
        "        context.connection.execute('CREATE TABLE note ()')\n"
        "        if not Path(context.path('cut')).exists():\n"
        "            Path(context.path('cut')).touch()\n"
        "            context.connection.execute('SELECT pg_terminate_backend(pg_backend_pid())')",
    )
    assert [step.name for step in project.apply().applied] == ["note"]
    assert project.rows("SELECT count(*) FROM bootstrapper.steps WHERE kind = 'result'") == [(1,)]
    assert project.rows("SELECT outcome FROM bootstrapper.runs ORDER BY serial") == [(None,), ("done",)]


def test_a_program_that_was_cut_off_is_not_started_again(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: command
    with: {run: [sh, -c, "echo again >> started; exec sleep 30"]}
    check: never
""")
    cutter = threading.Thread(target=end_holder, args=[project])
    cutter.start()
    with pytest.raises(UnreachableError):
        project.apply()
    cutter.join()
    assert (project.folder / "started").read_text() == "again\n"


def test_an_error_of_a_step_is_not_hidden_by_its_lost_connection(project: TrialProject) -> None:
    note(
        project,
        apply="import psycopg, socket, os\n"
        "        with socket.socket(fileno=os.dup(context.connection.fileno())) as line:\n"
        "            line.shutdown(socket.SHUT_RDWR)\n"
        "        raise RuntimeError('the real reason')",
    )
    with pytest.raises(RuntimeError, match="the real reason"):
        project.apply()


def test_a_step_that_is_interrupted_leaves_nothing_and_the_ledger_says_so(project: TrialProject) -> None:
    note(
        project,
        apply="context.connection.execute('CREATE TABLE note ()')\n"
        "        copy = context.connection.cursor().copy('COPY note FROM STDIN').__enter__()\n"
        "        raise KeyboardInterrupt",
    )
    with pytest.raises(KeyboardInterrupt):
        project.apply()
    assert not project.has("note")
    assert [step.name for step in project.plan().pending] == ["note"]


def test_an_error_that_the_ledger_can_not_hold_as_it_is_does_not_hide_how_the_run_ended(
    project: TrialProject,
) -> None:
    note(project, apply="raise RuntimeError('a\\0b' + chr(0xD800))")
    with pytest.raises(RuntimeError):
        project.apply()
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]


def test_a_run_that_fails_counts_the_steps_that_it_applied(project: TrialProject) -> None:
    project.write(ONE_TABLE + "  - uses: sql\n    with: {statement: SELECT 1/0}\n    check: never\n")
    with pytest.raises(StepFailedError):
        project.apply()
    assert [event.applied for event in project.events if isinstance(event, RunFinished)] == [1]


def test_secrets_are_masked_in_the_event_of_a_failure(project: TrialProject) -> None:
    note(project, apply="raise RuntimeError('password is correct horse')")
    with pytest.raises(RuntimeError):
        project.apply()
    assert [event.reason for event in project.events if isinstance(event, StepFailed)] == ["password is ***"]


# The lock step


def test_a_lock_that_is_never_free_is_told_with_its_own_exit_code(project: TrialProject) -> None:
    project.write(ONE_TABLE)
    with locked(project.database), pytest.raises(LockTimeoutError) as caught:
        project.apply()
    assert caught.value.exit_code is ExitCode.LOCKED


def test_a_waiter_waits_on_while_the_holder_is_between_two_states(project: TrialProject) -> None:
    looks = project.folder / "looks"
    note(project, changes=f"with open({str(looks)!r}, 'a') as file: file.write('x')\n        return []")
    project.write(
        NOTE.replace("200ms", "20s") + "    check: {sql: \"SELECT to_regclass('one') IS NULL\"}\n"
        '  - uses: sql\n    with: {statement: "CREATE TABLE two ()"}\n    check: {table: two}\n'
    )
    failures: list[BaseException] = []

    def run() -> None:
        try:
            project.apply()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    with locked(project.database):
        waiter = threading.Thread(target=run)
        waiter.start()
        assert eventually(lambda: any(isinstance(event, LockAwaited) for event in project.events))
        project.rows("CREATE TABLE one ()")  # now the check says no, and the step sees nothing to do
        before = looks.stat().st_size if looks.exists() else 0
        assert eventually(lambda: bool(failures) or (looks.exists() and looks.stat().st_size > before))
        assert not failures
        project.rows("DROP TABLE one")
    waiter.join(at_most(20))
    assert failures == []
    assert project.has("two")


def test_a_run_that_finds_all_done_under_the_lock_leaves_none_behind(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lock, "_is_done_meanwhile", lambda *_: False)  # the other run ends just after that look
    project.write(ONE_TABLE.replace("200ms", "20s"))
    outcomes: list[Outcome] = []
    waiter = threading.Thread(target=lambda: outcomes.append(project.apply()))
    with locked(project.database):
        waiter.start()
        assert eventually(lambda: any(isinstance(event, LockAwaited) for event in project.events))
        project.rows("CREATE TABLE one ()")
    waiter.join(at_most(20))
    assert [(outcome.applied, outcome.run_id) for outcome in outcomes] == [((), None)]
    assert project.rows("SELECT count(*) FROM bootstrapper.runs") == [(0,)]


def test_sequences_of_the_ledger_that_are_behind_their_tables_move_on(project: TrialProject) -> None:
    project.write(ONE_TABLE)
    for _ in range(3):
        project.apply()
        project.rows("DROP TABLE one")
    project.rows("ALTER TABLE bootstrapper.runs ALTER serial RESTART")
    project.rows("ALTER TABLE bootstrapper.steps ALTER id RESTART")
    project.apply()
    assert project.rows("SELECT count(*), max(serial) FROM bootstrapper.runs") == [(4, 4)]
    assert project.rows("SELECT count(*), max(id) FROM bootstrapper.steps") == [(4, 4)]


def test_whoever_only_looks_or_breaks_the_lock_does_not_queue(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queued(*_: object) -> bool:
        raise AssertionError("it queued")

    monkeypatch.setattr(turnstile.Turnstile, "enter", queued)
    project.write(ONE_TABLE)
    project.plan()
    project.status()
    run.wait(project.request())
    assert locking.lock_state(project.request()) is None
    with pytest.raises(GuardError, match="the lock is free"):
        locking.break_lock(project.request(), "0" * 36)
    with pytest.raises(AssertionError, match="it queued"):
        project.apply()


@pytest.mark.parametrize("places", [1, 4])
def test_of_those_who_wait_one_does_what_always_runs(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    monkeypatch.setattr(turnstile, "PLACES", places)  # with one, the second queues and has not connected yet
    project.rows("CREATE TABLE log (id int)")
    project.write("""
steps:
  - uses: lock
  - uses: sql
    with: {statement: "INSERT INTO log VALUES (1)"}
    check: never
""")
    outcomes: list[Outcome] = []
    waiters = [threading.Thread(target=lambda: outcomes.append(project.apply())) for _ in range(2)]
    with locked(project.database):
        for waiter in waiters:
            waiter.start()
        assert eventually(lambda: sum(isinstance(event, RunStarted) for event in project.events) == len(waiters))
        assert eventually(lambda: any(isinstance(event, LockAwaited) for event in project.events))
    for waiter in waiters:
        waiter.join(at_most(20))
    assert sorted(len(outcome.applied) for outcome in outcomes) == [0, 1]
    project.apply()  # whoever comes later asks for a run of its own
    assert project.rows("SELECT count(*) FROM log") == [(2,)]


def test_the_lock_can_not_be_skipped(project: TrialProject) -> None:
    project.write(ONE_TABLE)
    with pytest.raises(UsageError, match="lock"):
        project.apply(skip=("lock",))


def test_a_role_that_may_not_write_the_ledger_is_refused(project: TrialProject, role: Callable[..., None]) -> None:
    project.write(ONE_TABLE.replace("one ()", "one (id int)"))
    project.apply()
    project.rows("DROP TABLE one")
    role("GRANT USAGE ON SCHEMA bootstrapper TO {role}", "GRANT SELECT ON ALL TABLES IN SCHEMA bootstrapper TO {role}")
    assert len(project.plan().pending) == 1
    with pytest.raises(RefusedError):
        project.apply()


def test_a_schema_that_the_role_may_not_create_in_is_refused(project: TrialProject, role: Callable[..., None]) -> None:
    project.write("ledger: {schema: public}\n" + ONE_TABLE)
    role("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(RefusedError, match="42501"):
        project.apply()


def test_a_role_whose_transactions_are_read_only_is_told_so_at_once(
    project: TrialProject, role: Callable[..., None]
) -> None:
    project.write(ONE_TABLE.replace("200ms", "60s"))
    project.rows("CREATE SCHEMA bootstrapper")
    role("GRANT ALL ON SCHEMA bootstrapper TO {role}", "ALTER ROLE {role} SET default_transaction_read_only = on")
    with pytest.raises(UnreachableError, match="25006"):
        project.apply()


def test_a_stranger_in_the_ledgers_schema_is_no_bug(project: TrialProject) -> None:
    project.write(ONE_TABLE)
    project.rows("CREATE SCHEMA bootstrapper")
    project.rows("CREATE TABLE bootstrapper.lock (n int)")
    project.rows("CREATE TABLE bootstrapper.runs (n int)")
    assert len(project.plan().pending) == 1
    assert project.status().last_run is None
    with pytest.raises(RefusedError, match="bootstrapper"):
        project.apply()


def test_a_role_to_grant_to_that_does_not_exist_is_a_mistake_in_the_file(project: TrialProject) -> None:
    project.write("ledger: {grant_to: [nobody_of_this_name]}\n" + ONE_TABLE)
    with pytest.raises(InvalidFileError, match="nobody_of_this_name"):
        project.apply()


@pytest.mark.parametrize("missing", ["DROP TABLE bootstrapper.lock", "DELETE FROM bootstrapper.lock"])
def test_a_ledger_restored_without_its_lock_is_completed(project: TrialProject, missing: str) -> None:
    project.write(ONE_TABLE)
    project.apply()
    project.rows(missing)
    project.rows("DROP TABLE one")
    assert len(project.apply().applied) == 1
    assert project.rows("SELECT token FROM bootstrapper.lock") == [(2,)]
    assert project.rows("SELECT count(*) FROM bootstrapper.runs") == [(2,)]


@pytest.mark.parametrize(
    "setting",
    [
        "datestyle = 'German, DMY'",
        "datestyle = 'SQL, MDY'",
        "intervalstyle = 'iso_8601'",
        "timezone = 'Antarctica/Troll'",
        "search_path = ''",
        "search_path = 'nowhere'",
        "standard_conforming_strings = off",
        "default_transaction_isolation = 'serializable'",
        "bytea_output = 'escape'",
        "extra_float_digits = -15",
    ],
)
def test_the_settings_of_a_role_change_nothing(project: TrialProject, role: Callable[..., None], setting: str) -> None:
    project.write(
        "steps:\n  - uses: lock\n    with: {timeout: 100ms}\n  - uses: sql\n"
        '    with: {statement: "CREATE TABLE public.one (d date)"}\n'
        "    check: {all: [{once: x}, {table: public.one}]}\n"
    )
    database = project.database.rpartition("/")[2]
    role(
        "GRANT ALL ON SCHEMA public TO {role}",
        f'GRANT ALL ON DATABASE "{database}" TO {{role}}',
        f"ALTER ROLE {{role}} SET {setting}",
    )
    assert len(project.apply().applied) == 1
    assert project.apply().applied == ()
    last = project.status().last_run
    assert last is not None
    assert last.outcome == "done"
    with locked(project.database):
        project.rows("DROP TABLE public.one")
        with pytest.raises(LockTimeoutError):
            project.apply()


def test_a_database_of_latin1_holds_the_end_of_a_run_whatever_its_error_says(
    project: TrialProject, server: Server
) -> None:
    name = f"latin_{time.monotonic_ns()}"
    server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        project.database = server.url(name)
        note(project, apply="raise RuntimeError('это')")
        with pytest.raises(RuntimeError):
            project.apply()
        assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


# Plugins


def test_two_plugins_of_the_same_file_name_do_not_get_into_each_others_way(project: TrialProject) -> None:
    body = """
from dataclasses import dataclass
class {name}(Step):
    uses = "{uses}"
    def changes(self, context):
        import sys
        return [Change.create(sys.modules[type(self).__module__].{name}.uses)]
    def apply(self, context, changes): ...
@hookimpl
def bootstrapper_steps(): return [{name}]
"""
    plugin(project, body.format(name="First", uses="first"), folder="a")
    plugin(project, body.format(name="Second", uses="second"), folder="b")
    project.write("plugins: [./a, ./b]\nsteps: [{uses: lock}, {uses: first}, {uses: second}]\n")
    assert [step.changes[0].target for step in project.plan().pending] == ["first", "second"]


@pytest.mark.parametrize(
    ("plugins", "body", "said"),
    [
        ("[./plugins, ./plugins/]", "@hookimpl\ndef bootstrapper_steps(): return []", "twice"),
        ("[./plugins]", "import sys; sys.exit(0)", "SystemExit"),
        ("[./plugins]", "@hookimpl\ndef bootstrapper_steps(everything): return []", "everything"),
        ("['~nobody_of_this_name/x']", "", "folder"),
    ],
)
def test_a_plugin_that_can_not_be_registered_is_named(
    project: TrialProject, plugins: str, body: str, said: str
) -> None:
    plugin(project, body)
    project.write(f"plugins: {plugins}\n" + ONE_TABLE)
    with pytest.raises(PluginError, match=said):
        project.plan()


def test_a_folder_below_the_home_directory_is_found(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    note(project)
    project.write(NOTE.replace("./plugins", "~/plugins"))
    assert [step.name for step in project.plan().pending] == ["note"]


# The digest of the inputs


def digest(data: dict[str, object], files: tuple[Path, ...] = (), **variables: str) -> str:
    from bootstrapper.builtin import registry

    values = {kind.key: kind for kind in registry.bootstrapper_values()}
    return inputs.digest(data, files, environment=None, variables=variables, values=values)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([[]], ["[", "]"]),
        ([1], ["int 1"]),
        (["a\0b"], ["a", "b"]),
        ({"a": "b"}, ["{", "a", "b", "}"]),
        ([None], ["None"]),
    ],
)
def test_different_data_have_different_digests(left: object, right: object) -> None:
    assert digest({"x": left}) != digest({"x": right})


def test_variables_that_are_no_text_have_a_digest() -> None:
    assert digest({"x": "${A}"}, A="\udcff") != digest({"x": "${A}"}, A="b")


def test_what_env_reads_is_in_the_digest_unless_it_is_a_secret() -> None:
    assert digest({"x": {"$env": "A"}}, A="1") != digest({"x": {"$env": "A"}}, A="2")
    secret = {"$env": {"name": "A", "secret": True}}
    assert digest({"x": secret}, A="1") == digest({"x": secret}, A="2")


def test_the_digest_does_not_depend_on_where_the_folders_are(tmp_path: Path) -> None:
    found = []
    for project, plugins in (("a", "z"), ("z", "a")):
        files = (tmp_path / f"1{project}" / "one.sql", tmp_path / f"1{plugins}" / "two.py")
        for file in files:
            file.parent.mkdir(exist_ok=True)
            file.write_text(file.name)
        found.append(digest({}, files))
    assert found[0] == found[1]


def test_a_file_that_is_renamed_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "one.sql").write_text("x")
    (tmp_path / "two.sql").write_text("x")
    assert digest({}, (tmp_path / "one.sql",)) != digest({}, (tmp_path / "two.sql",))


@pytest.mark.parametrize(
    "setting",
    [
        "statement_timeout = '200ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '100ms'",
        "idle_session_timeout = '300ms'",
        pytest.param("transaction_timeout = '300ms'", marks=pytest.mark.since(17)),
    ],
)
def test_timeouts_of_a_role_cut_nothing_short(project: TrialProject, role: Callable[..., None], setting: str) -> None:
    note(
        project,
        apply="import time; time.sleep(0.4)\n"
        "        context.connection.execute('CREATE TABLE public.note (); SELECT pg_sleep(0.4)')",
    )
    project.write(
        (project.folder / "bootstrap.yaml").read_text()
        + "  - {uses: command, with: {run: [sleep, '0.6']}, check: {once: slept}}\n"
    )
    database = project.database.rpartition("/")[2]
    role(
        "GRANT ALL ON SCHEMA public TO {role}",
        f'GRANT ALL ON DATABASE "{database}" TO {{role}}',
        f"ALTER ROLE {{role}} SET {setting}",
    )
    assert [step.name for step in project.apply().applied] == ["note", "command"]


def test_a_step_that_is_not_done_in_its_time_says_so_and_leaves_nothing(project: TrialProject) -> None:
    project.write("""
steps:
  - uses: lock
  - uses: sql
    timeout: 500ms
    with: {statement: "CREATE TABLE late (); SELECT pg_sleep(30)"}
    check: {table: late}
""")
    with pytest.raises(StepFailedError, match="was not done within its time"):
        project.apply()
    assert not project.has("late")
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("failed",)]


def test_a_step_that_meets_somebody_elses_lock_is_tried_again(project: TrialProject) -> None:
    project.rows("CREATE TABLE busy (n int)")
    note(
        project,
        apply="from pathlib import Path\n"
        "        path = Path(context.path('met'))\n"
        "        if not path.exists():\n"
        "            path.touch()\n"
        "            code = \"DO $$ BEGIN RAISE EXCEPTION 'met' USING ERRCODE = '40P01'; END $$\"\n"
        "            context.connection.execute(code)\n"
        "        context.connection.execute('CREATE TABLE note ()')",
    )
    assert [step.name for step in project.apply().applied] == ["note"]
    assert [event for event in project.events if isinstance(event, Warned)]


def test_an_attempt_that_was_rolled_back_leaves_nothing_in_the_steps_scratch(project: TrialProject) -> None:
    note(
        project,
        apply="import psycopg\n"
        "        from pathlib import Path\n"
        "        scratch, first = context._run.scratch, 'seen' not in context._run.scratch\n"
        "        scratch['seen'] = True\n"
        "        tries = Path(context.path('tries'))\n"
        "        tries.write_text((tries.read_text() if tries.exists() else '') + str(first)[0])\n"
        "        if len(tries.read_text()) < 2:\n"
        "            raise psycopg.errors.SerializationFailure('met')\n"
        "        context.connection.execute('CREATE TABLE note ()')",
    )
    project.apply()
    assert (project.folder / "tries").read_text() == "TT"


def test_a_run_is_named_in_the_servers_list_of_sessions(project: TrialProject) -> None:
    note(
        project, apply="context.connection.execute(\"CREATE TABLE note AS SELECT current_setting('application_name')\")"
    )
    run_id = project.apply().run_id
    assert project.rows("SELECT * FROM note") == [(f"bootstrapper/trial/{run_id}",)]
