"""What a start costs that has nothing to do: the repository's own bootstrap.yaml, in process, counted at the server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from bootstrapper.api import run
from bootstrapper.engine.request import Request
from bootstrapper.errors import BootstrapperError
from tests.round_trips import CountingProxy
from tests.samples import apply_again, copy_sample, request_of
from tests.servers import Server

CHECK = "    check: {rows: {table: users, at_least: 1}}"
MOST = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copy_sample(tmp_path)


@pytest.fixture
def proxy(server: Server) -> Iterator[CountingProxy]:
    with CountingProxy(server.port) as counting:
        yield counting


@pytest.mark.smoke
def test_a_start_with_nothing_to_do_takes_one_login_and_three_round_trips(
    folder: Path, proxy: CountingProxy, database: str
) -> None:
    apply_again(folder, proxy, database)
    assert proxy.logins == 1
    assert proxy.round_trips <= MOST, proxy.statements


def test_a_start_with_nothing_to_do_reads_in_one_read_only_transaction_and_locks_nothing(
    folder: Path, proxy: CountingProxy, database: str
) -> None:
    apply_again(folder, proxy, database)
    said = proxy.statements
    assert [text for text in said if text.startswith("BEGIN")] == ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"]
    assert not [text for text in said if "advisory" in text or "COMMIT" in text or "FOR UPDATE" in text]


def test_a_start_with_nothing_to_do_writes_nothing(
    folder: Path, proxy: CountingProxy, server: Server, database: str
) -> None:
    apply_again(folder, proxy, database)
    before = written(database)
    apply_again(folder, proxy, database)
    assert written(database) == before
    assert server.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def written(database: str) -> tuple[object, ...]:
    """The position of the log, the transactions that got a number, and the rows that were written."""
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT pg_snapshot_xmax(pg_current_snapshot()), sum(n_tup_ins + n_tup_upd + n_tup_del)"
            " FROM pg_stat_all_tables WHERE schemaname NOT IN ('pg_toast', 'pg_catalog')"
        ).fetchone()
    assert row is not None
    return row


def test_a_seed_step_without_a_check_costs_the_questions_of_its_comparison(
    folder: Path, proxy: CountingProxy, database: str
) -> None:
    file = folder / "bootstrap.yaml"
    text = file.read_text()
    assert CHECK in text
    file.write_text(text.replace(CHECK, "    # compares rows"))
    apply_again(folder, proxy, database)
    assert proxy.logins == 1
    assert proxy.round_trips <= MOST + 3, proxy.statements


def test_a_look_that_finds_something_to_do_costs_the_same_round_trips_before_the_lock(
    folder: Path, proxy: CountingProxy, database: str
) -> None:
    run.apply(request_of(folder, database))
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM users")
    assert len(run.apply(request_of(folder, proxy.url(database))).applied) == 1
    kinds = ["advisory" in " ".join(said) for said in proxy.conversations[0].statements]
    assert kinds.index(True) > MOST - 1


NOTES = """
from alembic import op

revision = "002_notes"
down_revision = "001_initial"


def upgrade() -> None:
    op.execute("CREATE TABLE notes (id int)")
"""


OWN_EXTENSION = """
from bootstrapper import hookimpl
from bootstrapper.builtin.steps.extension import Extension


class Installed(Extension):
    uses = "installed"


@hookimpl
def bootstrapper_steps():
    return [Installed]
"""


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def names_applied(request: Request) -> list[str]:
    return [step.name for step in run.apply(request).applied]


def test_a_process_that_starts_again_sees_its_files_as_they_are_now(folder: Path, database: str) -> None:
    request = request_of(folder, database)
    run.apply(request)
    assert names_applied(request) == []
    (folder / "plugins" / "extension.py").write_text(OWN_EXTENSION)
    edit(folder / "bootstrap.yaml", "uses: extension", "uses: installed")
    assert names_applied(request) == []
    edit(folder / "plugins" / "extension.py", 'uses = "installed"', 'uses = "present"')
    edit(folder / "bootstrap.yaml", "uses: installed", "uses: present")
    assert names_applied(request) == []
    edit(folder / "bootstrap.yaml", "table: users, at_least: 1", "table: users, at_least: 3")
    with pytest.raises(BootstrapperError, match="seed"):  # nothing that it declares brings a third user
        run.apply(request)
    edit(folder / "bootstrap.yaml", "table: users, at_least: 3", "table: users, at_least: 2")
    edit(folder / "config" / "development.yaml", "steps:", "steps:\n  - {name: backup, remove: true}")
    (folder / "migrations" / "versions" / "002_notes.py").write_text(NOTES)
    assert names_applied(request) == ["migrate"]
    assert names_applied(request) == []


def test_several_threads_may_start_at_once(folder: Path, database: str) -> None:
    request = request_of(folder, database)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: run.apply(request), range(16)))
    assert [bool(outcome.applied) for outcome in outcomes].count(True) == 1
