import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from bootstrapper.api import run
from bootstrapper.builtin.steps.sql import Sql, SqlOptions
from bootstrapper.deadline import Deadline, Stop
from bootstrapper.errors import FencedOffError, InvalidFileError, RunInterrupted, Source, StepFailedError
from bootstrapper.events import Event, StepReported
from bootstrapper.plugin.context import Context
from tests.backups.contexts import Bench, apply, make_bench, plan, shared_database
from tests.projects import TrialProject
from tests.servers import Server
from tests.waiting import at_most, eventually


@pytest.fixture(scope="module")
def module_database(server: Server) -> Iterator[str]:
    with shared_database(server, "sql_steps") as url:
        yield url


@pytest.fixture
def bench(module_database: str, tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(module_database, tmp_path)
    made.execute("CREATE TABLE notes (id int PRIMARY KEY, text text)")
    yield made
    made.clean()


def make_step(**options: object) -> Sql:
    return Sql("sql", SqlOptions.model_validate(options), Source("bootstrap.yaml", 7, 5))


def write(bench: Bench, text: str, name: str = "notes.sql") -> Sql:
    (bench.project.directory / name).write_text(text)
    return make_step(file=name)


def test_a_statement_is_run_in_the_steps_transaction(bench: Bench) -> None:
    apply(make_step(statement="INSERT INTO notes VALUES (1, '100 % sure')"), bench)
    assert bench.execute("SELECT * FROM notes") == [(1, "100 % sure")]


def test_all_statements_of_a_file_are_run(bench: Bench) -> None:
    apply(
        write(bench, "\ufeff-- two\nINSERT INTO notes VALUES (1, ';');\nINSERT INTO notes VALUES (2, '$1 %s');"), bench
    )
    assert bench.execute("SELECT text FROM notes ORDER BY id") == [(";",), ("$1 %s",)]


def test_a_failure_leaves_nothing(bench: Bench) -> None:
    step = write(bench, "INSERT INTO notes VALUES (1, 'a');\nINSERT INTO notes VALUES (1, 'b');")
    with pytest.raises(StepFailedError) as caught:
        apply(step, bench)
    assert caught.value.sqlstate == "23505"
    assert bench.execute("SELECT * FROM notes") == []


def test_an_error_is_reported_with_its_place_in_the_file(bench: Bench) -> None:
    with pytest.raises(StepFailedError) as caught:
        apply(write(bench, "SELECT 'ä';\nSELECT 1,\n       missing FROM notes;\n"), bench)
    assert (caught.value.source, caught.value.sqlstate) == (Source("notes.sql", 3, 8), "42703")


def test_an_error_in_a_statement_is_reported_with_the_place_of_the_step_and_its_own(bench: Bench) -> None:
    with pytest.raises(StepFailedError, match="the statement, line 2, column 8: syntax error") as caught:
        apply(make_step(statement="SELECT 1\n  FORM notes"), bench)
    assert caught.value.source == Source("bootstrap.yaml", 7, 5)


def test_secrets_in_the_servers_answer_are_masked(bench: Bench) -> None:
    bench.masker.learn("hunter22")
    with pytest.raises(StepFailedError) as caught:
        apply(make_step(statement="SELECT hunter22"), bench)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("text", ["COMMIT", "begin", "SELECT 1; ROLLBACK", "END", "START TRANSACTION"])
def test_a_statement_that_would_leave_the_transaction_is_refused_in_the_file(text: str) -> None:
    with pytest.raises(ValidationError, match="is refused: the step has its own transaction"):
        make_step(statement=text)


def test_in_a_sql_file_it_is_refused_with_its_place(bench: Bench) -> None:
    with pytest.raises(InvalidFileError) as caught:
        plan(write(bench, "INSERT INTO notes VALUES (1, 'a');\n  COMMIT;"), bench)
    assert caught.value.problems[0].source == Source("notes.sql", 2, 3)


def test_what_the_scanner_did_not_see_is_found_afterwards(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrapper.builtin.steps.sql._first_problem", lambda text: None)
    with pytest.raises(StepFailedError, match="left the step's transaction"):
        apply(make_step(statement="COMMIT; BEGIN"), bench)


def test_savepoints_are_allowed(bench: Bench) -> None:
    text = "SAVEPOINT s; INSERT INTO notes VALUES (1, 'a'); ROLLBACK TO s; INSERT INTO notes VALUES (2, 'b')"
    apply(make_step(statement=text), bench)
    assert bench.execute("SELECT id FROM notes") == [(2,)]


def test_outside_a_transaction_statements_are_sent_one_by_one(bench: Bench) -> None:
    text = "CREATE INDEX CONCURRENTLY by_text ON notes (text);\nVACUUM notes;"
    step = make_step(statement=text, transaction=False)
    assert not step.transactional
    apply(step, bench)
    assert bench.execute("SELECT count(*) FROM pg_indexes WHERE indexname = 'by_text'") == [(1,)]


OUTSIDE = """
steps:
  - uses: lock
  - uses: sql
    name: slow
    with: {statement: "%s", transaction: false}
    check: {table: slow}
"""


def test_outside_a_transaction_a_request_to_stop_ends_the_statement(project: TrialProject) -> None:
    project.write(OUTSIDE % "CREATE TABLE slow AS SELECT pg_sleep(600)::text")
    stop = Stop()
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(project.apply, stop=stop)
        assert eventually(lambda: project.rows(f"{sleeping} AND state = 'active'") == [(1,)])
        stop.set()
        assert isinstance(running.exception(at_most(2)), RunInterrupted)
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("interrupted",)]
    assert project.rows("SELECT run_id FROM bootstrapper.lock") == [(None,)]
    assert eventually(lambda: project.rows(sleeping) == [(0,)])
    assert not project.has("slow")


def test_outside_a_transaction_a_request_to_stop_between_two_statements_counts(project: TrialProject) -> None:
    project.write(OUTSIDE % "DO $$ BEGIN RAISE NOTICE 'halfway'; END $$; CREATE TABLE slow ()")
    stop = Stop()

    def interrupt(event: Event) -> None:
        if isinstance(event, StepReported):
            stop.set()

    with pytest.raises(RunInterrupted):
        run.apply(replace(project.request(stop=stop), emit=interrupt))
    assert not project.has("slow")
    assert project.rows("SELECT outcome FROM bootstrapper.runs") == [("interrupted",)]


def test_outside_a_transaction_the_lock_row_names_the_backend_at_work(bench: Bench) -> None:
    text = "CREATE TABLE notes_workers AS SELECT worker_backend_pid = pg_backend_pid() AS ours FROM bootstrapper.lock"
    apply(make_step(statement=text, transaction=False), bench)
    assert bench.execute("SELECT ours FROM notes_workers") == [(True,)]


def test_outside_a_transaction_nothing_is_done_once_another_run_has_the_lock(bench: Bench) -> None:
    step = make_step(statement="INSERT INTO notes VALUES (1, 'a')", transaction=False)
    with bench.run(None) as hold:
        bench.execute("UPDATE bootstrapper.lock SET token = token + 1")
        with pytest.raises(FencedOffError):
            context = Context(bench.context(step.name, hold))
            step.apply(context, step.changes(context))
    assert bench.execute("SELECT * FROM notes") == []


def test_outside_a_transaction_the_place_is_that_in_the_whole_text(bench: Bench) -> None:
    with pytest.raises(StepFailedError, match="line 2, column 8"):
        apply(make_step(statement="SELECT 1;\nSELECT missing;", transaction=False), bench)


def test_the_deadline_cancels_what_the_server_is_doing(bench: Bench) -> None:
    with pytest.raises(StepFailedError, match="did not finish in time"):
        apply(make_step(statement="SELECT pg_sleep(60)"), bench, Deadline.after(0.3))


def test_notices_are_passed_on(bench: Bench) -> None:
    apply(make_step(statement="DO $$ BEGIN RAISE NOTICE 'halfway'; END $$"), bench)
    assert bench.lines == ["NOTICE: halfway"]


def test_a_plan_shows_the_first_line_of_what_is_run(bench: Bench) -> None:
    step = make_step(statement="-- why\nINSERT INTO notes\nVALUES (1, 'a');\nSELECT 1")
    assert [change.target for change in plan(step, bench)] == ["INSERT INTO notes and 1 more"]


def test_a_plan_shows_a_file_by_its_name(bench: Bench) -> None:
    assert [change.target for change in plan(write(bench, "SELECT 1"), bench)] == ["notes.sql (1 statement)"]


def test_the_file_belongs_to_the_configurations_inputs(bench: Bench) -> None:
    assert make_step(file="notes.sql").inputs(bench.project) == [bench.project.directory / "notes.sql"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"SELECT '\xff'", "is not UTF-8"),
        (b"-- nothing", "no statement"),
        (b"\\i other.sql", "are part of psql"),
        (b"SELECT '\0'", "NUL"),
        (b"COPY notes (id, text) FROM stdin;\n1\tit's\n\\.\n", "COPY FROM STDIN"),
    ],
)
def test_a_file_that_cannot_be_sent_is_a_configuration_error(bench: Bench, content: bytes | None, message: str) -> None:
    if content is not None:
        (bench.project.directory / "bad.sql").write_bytes(content)
    with pytest.raises(InvalidFileError, match=message):
        plan(make_step(file="bad.sql"), bench)


@pytest.mark.parametrize("options", [{}, {"statement": "SELECT 1", "file": "a.sql"}, {"statement": " "}])
def test_it_needs_either_a_statement_or_a_file(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        make_step(**options)


def test_a_cancellation_that_is_under_way_does_not_hit_the_next_statement(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It notes how the run ended."""
    original = psycopg.Connection.cancel_safe

    def slow(connection: psycopg.Connection[object], *, timeout: float = 30.0) -> None:
        time.sleep(0.3)
        original(connection, timeout=timeout)

    monkeypatch.setattr(psycopg.Connection, "cancel_safe", slow)
    step = make_step(statement="SELECT pg_sleep(30)")
    context = replace(bench.context(step), deadline=Deadline.after(0.2))
    connection = context.connection
    connection.execute("BEGIN")
    connection.execute("SET LOCAL statement_timeout = '250ms'")
    with pytest.raises(StepFailedError):
        step.apply(Context(context), step.changes(Context(context)))
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*) FROM pg_sleep(0.5)").fetchone() == (1,)
