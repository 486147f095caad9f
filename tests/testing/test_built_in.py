"""What is built in, and the example plugin, keeps the contracts of the kit: its suites, run as an author does.

Not here: `lock`, a scope, for which the kit has no contract; checks about a run, whose answer is not one about the
database (`environment`, `pending`, `once`, `never`); `$ref` and `$literal`, which the reader of rows replaces.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from bootstrapper.testing import CheckSuite, GateSuite, RendererSuite, StepSuite, Trial, ValueSuite

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
WORDS = "CREATE TABLE words (word text PRIMARY KEY, kind text)"


@pytest.fixture
def bootstrap_new_database(new_database: Callable[[], str]) -> Callable[[], str]:
    """On the server that all tests share."""
    return new_database


def copy(trial: Trial, name: str) -> None:
    shutil.copytree(ROOT / name, trial.folder / name, ignore=shutil.ignore_patterns("__pycache__"))


class TestSql(StepSuite):
    step = "{uses: sql, with: {statement: CREATE TABLE made ()}, check: {table: made}}"
    drifted = "DROP TABLE made"
    refused = ("{uses: sql, with: {statement: SELECT 1}}",)
    kill_every = 2


class TestSqlOutsideOfTransactions(StepSuite):
    step = """
    uses: sql
    with: {statement: "CREATE INDEX CONCURRENTLY IF NOT EXISTS words_kind ON words (kind)", transaction: false}
    check: {sql: "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('words_kind')"}
    """
    database = WORDS
    drifted = "DROP INDEX words_kind"
    kill_every = 6


class TestExtension(StepSuite):
    step = "{uses: extension, with: {name: pg_trgm}}"
    drifted = "DROP EXTENSION pg_trgm"
    kill_every = 5


class TestSeed(StepSuite):
    step = "uses: seed"
    database = WORDS
    more = """
    fixtures:
      words: {key: [word], mode: update, rows: [{word: one, kind: number}, {word: two, kind: number}]}
    """
    drifted = "UPDATE words SET kind = 'other' WHERE word = 'two'"
    kill_every = 5


class TestMigrate(StepSuite):
    step = "{uses: migrate, with: {script_location: migrations}}"
    drifted = """
    DELETE FROM alembic_version;
    DROP TABLE messages, sessions, chats, social_links, documents, users, tenants;
    """
    test_killed_anywhere_the_step_comes_to_the_same_end = None  # by tests/faults: each kill waits for the lease to end

    def prepare(self, trial: Trial) -> None:
        copy(trial, "migrations")


class TestCommand(StepSuite):
    step = """
    uses: command
    with: {run: [psql, "${BOOTSTRAPPER_TRIAL_URL}", -c, CREATE TABLE IF NOT EXISTS made ()]}
    check: {table: made}
    """
    drifted = "DROP TABLE made"
    kill_every = 5


class TestBackup(StepSuite):
    step = "{uses: backup, with: {directory: backups}, check: {backup: {newer_than: 1h}}}"
    test_killed_anywhere_the_step_comes_to_the_same_end = None  # by tests/backups/take/test_crashes, likewise

    def drift(self, trial: Trial) -> None:
        shutil.rmtree(trial.folder / "backups")


class TestReadOnlyRole(StepSuite):
    """The example plugin; roles are those of the whole server, so another trial may have made it already."""

    plugins = (f"{ROOT}/plugins",)
    step = "{uses: read_only_role, with: {name: trial_reader, schemas: [public]}}"
    database = f"{WORDS}; GRANT CREATE ON SCHEMA public TO pg_monitor"
    drifted = "REVOKE SELECT ON words FROM trial_reader"
    kill_every = 2


class TestTableCheck(CheckSuite):
    check = "{table: made}"
    yes = "CREATE TABLE made ()"
    refused = ("{table: [made]}", "table")


class TestRowsCheck(CheckSuite):
    check = "{rows: {table: words, where: kind = 'number', at_least: 1}}"
    yes = f"{WORDS}; INSERT INTO words VALUES ('one', 'number')"
    refused = ("{rows: {tabel: words}}", "{rows: {table: words, at_least: many}}")


class TestSqlCheck(CheckSuite):
    check = "{sql: SELECT count(*) = 1 FROM words}"
    yes = f"{WORDS}; INSERT INTO words VALUES ('one', 'number')"
    refused = ("{sql: {statement: SELECT 1}}",)


class TestExtensionCheck(CheckSuite):
    check = "{extension: pg_trgm}"
    yes = "CREATE EXTENSION pg_trgm"
    refused = ("{extension: [pg_trgm]}",)


class TestDatabaseCheck(CheckSuite):
    check = "{not: {database: empty}}"
    yes = WORDS
    refused = ("{database: full}",)


class TestFixturesCheck(CheckSuite):
    check = "{fixtures: [words]}"
    entries = ("uses: seed",)
    more = "fixtures: {words: {key: [word], rows: [{word: one}]}}"
    yes = f"{WORDS}; INSERT INTO words VALUES ('one')"
    refused = ("{fixtures: {words: all}}", "{fixtures: [wrods]}")


class TestRevisionCheck(CheckSuite):
    check = "{revision: head}"
    entries = ("{uses: migrate, with: {script_location: migrations}}",)
    yes = "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('001_initial')"
    refused = ("{revision: {to: head}}",)

    def prepare(self, trial: Trial) -> None:
        copy(trial, "migrations")


class TestBackupCheck(CheckSuite):
    check = "{backup: {newer_than: 1h}}"
    refused = ("{backup: {newer_than: soon}}",)


class TestUuid(ValueSuite):
    value = "{$uuid: users.superadmin}"
    refused = ("{$uuid: [one]}",)


class TestNow(ValueSuite):
    value = "{$now: null}"
    refused = ("{$now: later}",)


class TestSqlValue(ValueSuite):
    value = "{$sql: upper('words')}"
    expected = "WORDS"
    refused = ("{$sql: [one]}",)


class TestPassword(ValueSuite):
    value = "{$password: hunter2 and 3}"
    refused = ("{$password: {value: hunter2, scheme: rot13}}",)


class TestEnv(ValueSuite):
    value = "{$env: {name: TRIAL_WORD, secret: true}}"
    variables = MappingProxyType({"TRIAL_WORD": "hunter2 and more"})
    expected = "hunter2 and more"
    secret = True
    refused = ("{$env: {nam: TRIAL_WORD}}",)


class TestFile(ValueSuite):
    value = "{$file: word.txt}"
    expected = "text of a file"
    refused = ("{$file: [word.txt]}",)

    def prepare(self, trial: Trial) -> None:
        (trial.folder / "word.txt").write_text("text of a file")


class TestCommandValue(ValueSuite):
    value = "{$command: [echo, hunter2 of a program]}"
    expected = "hunter2 of a program"
    secret = True
    refused = ("{$command: 7}",)


class TestText(RendererSuite):
    format = "text"


class TestMarkdown(RendererSuite):
    format = "markdown"


class TestJson(RendererSuite):
    format = "json"


class TestWait(GateSuite):
    gate = "{uses: wait, with: {timeout: 1s}}"
    refused = ("{uses: wait, with: {timeout: soon}}",)
