"""Squawk itself, and programs that only look like it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrapper.migrations.linting import squawk

SQL = {"1a": "SELECT 1;", "2b": "ALTER TABLE users ALTER COLUMN age DROP NOT NULL;\nTRUNCATE users CASCADE;"}


@pytest.fixture
def pretender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a shell script in the place of Squawk."""

    def write(script: str) -> Path:
        path = tmp_path / "squawk"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(squawk, "program", lambda: path)
        return path

    return write


def rules(sql: str) -> list[str]:
    found = squawk.lint({"1": sql}, server_major=18)
    return [finding.message.partition(",")[0].removeprefix("squawk ") for finding in found]


def test_its_answers_become_findings(tmp_path: Path) -> None:
    found = squawk.lint(SQL, server_major=18, folder=tmp_path)
    assert {finding.target for finding in found} == {"revision 2b"}
    assert [finding.message.partition(":")[0] for finding in found] == [
        "squawk ban-drop-not-null, line 1",
        "squawk ban-truncate-cascade, line 2",
    ]
    assert found[1].remedy == "Remove the `CASCADE` and specify exactly which tables you want to truncate."


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE users ADD COLUMN a integer NOT NULL",
        "CREATE INDEX i ON users (a); DROP INDEX i; DROP TABLE users",
        "ALTER TABLE users ALTER COLUMN a TYPE bigint; ALTER TABLE users ALTER COLUMN a SET NOT NULL",
        "CREATE TABLE t (a integer, b timestamp, c char(3), d varchar(5), e serial)",
        "BEGIN; ALTER TABLE users RENAME COLUMN a TO b; COMMIT; BEGIN; ALTER TABLE users RENAME TO people; COMMIT",
    ],
)
def test_rules_of_the_own_table_and_of_style_are_left_out(sql: str) -> None:
    assert rules(sql) == []


def test_a_concurrent_index_build_in_a_transaction_is_a_finding() -> None:
    concurrently = "CREATE INDEX CONCURRENTLY i ON users (a);"
    add = "ALTER TABLE users ADD COLUMN a text;"
    assert rules(f"{add} {concurrently}") == ["ban-concurrent-index-creation-in-transaction"]
    assert rules(f"BEGIN; {add} COMMIT; {concurrently} BEGIN; COMMIT;") == []


def test_sql_that_it_cannot_parse_is_a_finding() -> None:
    assert set(rules("CREATE TABEL t ()")) == {"syntax-error"}


def test_every_rule_that_is_left_out_is_one_of_its_rules(tmp_path: Path) -> None:
    """Squawk refuses names that it does not know; unused-ignore cannot be excluded."""
    listed = ", ".join(f'"{rule}"' for rule in sorted(squawk.LEFT_OUT - {"unused-ignore"}))
    (tmp_path / ".squawk.toml").write_text(f"excluded_rules = [{listed}]\n")
    found = squawk.lint({"1": "TRUNCATE users CASCADE"}, server_major=18, folder=tmp_path)
    assert [finding.message.partition(",")[0] for finding in found] == ["squawk ban-truncate-cascade"]
    (tmp_path / ".squawk.toml").write_text('excluded_rules = ["no-such-rule"]\n')
    [failure] = squawk.lint({"1": "TRUNCATE users CASCADE"}, server_major=18, folder=tmp_path)
    assert failure.message.startswith("squawk did not check it: it ended with exit code 1")


def test_without_squawk_there_are_no_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squawk, "program", lambda: None)
    assert squawk.lint(SQL, server_major=18) == []


def test_the_one_beside_the_interpreter_comes_before_the_one_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("beside", "path"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "squawk").write_text("")
        (tmp_path / folder / "squawk").chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "beside" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert squawk.program() == tmp_path / "beside" / "squawk"
    (tmp_path / "beside" / "squawk").unlink()
    assert squawk.program() == tmp_path / "path" / "squawk"
    (tmp_path / "path" / "squawk").unlink()
    assert squawk.program() is None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo sorry >&2; exit 3", "it ended with exit code 3: sorry"),
        ("kill -9 $$", "it ended with exit code -9: its output is not JSON"),
        ("echo '[{'", "it ended with exit code 0: its output is not JSON"),
        ("echo '{}'", "output of an unknown format"),
        ("echo '[{\"rule\": 1}]'", "output has an unknown format"),
        ("printf '\\377\\376'", "its output is not JSON"),
        ("exec sleep 60", "it took longer than 0.5 s"),
    ],
)
def test_its_failure_is_one_finding(pretender: Callable[[str], Path], script: str, reason: str) -> None:
    pretender(script)
    limit = 0.5 if "sleep" in script else 30.0
    [finding] = squawk.lint(SQL, server_major=18, limit_seconds=limit)
    assert finding.target == "revision 1a"
    assert finding.message.startswith("squawk did not check it: ")
    assert reason in finding.message


def test_a_squawk_that_cannot_be_started_is_one_finding(pretender: Callable[[str], Path]) -> None:
    pretender("").write_bytes(b"\x7fELF, but broken")
    [finding] = squawk.lint(SQL, server_major=18)
    assert finding.message == "squawk did not check it: it cannot be started: Exec format error"


def test_the_sql_is_data_and_not_an_option_or_command(pretender: Callable[[str], Path], tmp_path: Path) -> None:
    pretender(f'echo "$@" > "{tmp_path}/arguments"; cat > "{tmp_path}/sql"; echo "[]"')
    text = "--help; $(touch owned) 'x"
    assert squawk.lint({"1": text}, server_major=17) == []
    assert (tmp_path / "sql").read_text() == text
    expected = "--reporter json --pg-version 17 --stdin-filepath revision.sql --assume-in-transaction\n"
    assert (tmp_path / "arguments").read_text() == expected
