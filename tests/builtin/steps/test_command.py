import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from bootstrapper.builtin.steps.command import Command, CommandOptions
from bootstrapper.errors import CommandFailedError, Source
from bootstrapper.plans import Change
from bootstrapper.plugin.context import Context
from tests.backups.contexts import Bench, make_bench
from tests.servers import Server
from tests.waiting import eventually


@pytest.fixture
def bench(server: Server, tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(server.url(), tmp_path, variables={"SETTING": "from outside"})
    yield made
    made.session.close()


def apply(step: Command, bench: Bench) -> None:
    """Without a run of its own: the program opens the only connection."""
    context = Context(bench.context(step.name))
    step.apply(context, step.changes(context))


def make_step(*run: str, **options: object) -> Command:
    return Command("command", CommandOptions.model_validate({"run": list(run), **options}), Source("b.yaml", 3, 5))


def python(text: str, **options: object) -> Command:
    return make_step(sys.executable, "-c", text, **options)


def test_a_program_finds_the_database_by_url_and_by_libpqs_variables(bench: Bench) -> None:
    text = """
import os, psycopg
for conninfo in (os.environ["DATABASE_URL"], ""):
    with psycopg.connect(conninfo, autocommit=True) as connection:
        print(connection.info.dbname)
"""
    apply(python(text), bench)
    assert bench.lines == [bench.target.dbname] * 2


def test_output_is_passed_on_masked(bench: Bench) -> None:
    apply(python("import os; print(os.environ['DATABASE_URL'], os.environ['PGPASSWORD'])"), bench)
    assert "correct" not in bench.lines[0]
    assert bench.lines[0].endswith(" ***")


def test_it_runs_in_the_files_folder_or_in_the_one_named(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    text = "import os; print(os.getcwd())"
    apply(python(text), bench)
    apply(python(text, cwd="inner"), bench)
    assert bench.lines == [str(tmp_path), str(tmp_path / "inner")]


def test_its_variables_are_the_projects_and_its_own(bench: Bench) -> None:
    apply(python("import os; print(os.environ['SETTING'], os.environ['MINE'])", env={"MINE": "x y"}), bench)
    assert bench.lines == ["from outside x y"]


def test_no_shell_reads_the_arguments(bench: Bench) -> None:
    apply(make_step("echo", "$HOME; *", "|", "`id`"), bench)
    assert bench.lines == ["$HOME; * | `id`"]


def test_a_text_is_cut_into_arguments_at_spaces_outside_quotes(bench: Bench) -> None:
    options = CommandOptions.model_validate({"run": "printf '%s\\n' 'a b' c"})
    apply(Command("command", options), bench)
    assert bench.lines == ["a b", "c"]


def test_a_program_beside_the_file_is_found_by_its_path(bench: Bench, tmp_path: Path) -> None:
    program = tmp_path / "hello.sh"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    apply(make_step("./hello.sh"), bench)
    assert bench.lines == ["hello"]


def test_a_failure_is_reported_with_exit_code_and_last_lines(bench: Bench) -> None:
    with pytest.raises(CommandFailedError) as caught:
        apply(python("import os; print('first'); print('pw', os.environ['PGPASSWORD']); raise SystemExit(3)"), bench)
    assert (caught.value.reason, caught.value.details) == ("ended with exit code 3", ("first", "pw ***"))
    assert caught.value.source == Source("b.yaml", 3, 5)


def test_a_missing_program_is_reported(bench: Bench) -> None:
    with pytest.raises(CommandFailedError, match="no-such-program: program not found on PATH"):
        apply(make_step("no-such-program"), bench)


def test_a_missing_folder_is_reported(bench: Bench) -> None:
    with pytest.raises(CommandFailedError, match="does not exist"):
        apply(make_step("true", cwd="missing"), bench)


def test_a_file_that_is_not_a_program_is_reported(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"\x7fELF")
    (tmp_path / "data").chmod(0o755)
    with pytest.raises(CommandFailedError, match="cannot be started"):
        apply(make_step("./data"), bench)


def test_its_timeout_kills_it_and_what_it_started(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="did not finish in time"):
        apply(make_step("sh", "-c", "sleep 600 & echo $! > pid; wait", timeout="500ms"), bench)
    with pytest.raises(ProcessLookupError):
        os.kill(reaped(int((tmp_path / "pid").read_text())), 0)


def reaped(pid: int) -> int:
    """Waits until nothing is left of a killed orphan but its number."""
    stat = Path(f"/proc/{pid}/stat")
    assert eventually(lambda: not stat.exists() or ") Z " in stat.read_text())
    if stat.exists():
        return 2**22  # an id that no process can have
    return pid


def test_a_plan_shows_the_command_as_one_would_type_it(bench: Bench) -> None:
    bench.masker.learn("hunter22")
    [change] = make_step("python", "-c", "print(1)", "--password=hunter22").changes(Context(bench.context()))
    assert isinstance(change, Change)
    assert change.target == "python -c 'print(1)' --password=***"


@pytest.mark.parametrize("run", [[], "", "it's", None, [1]])
def test_an_invalid_command_is_refused(run: object) -> None:
    with pytest.raises(ValidationError):
        CommandOptions.model_validate({"run": run})
