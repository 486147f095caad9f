"""`plan` and `status` with --exit-code and --quiet: the exit code is their answer, and the quick look may give it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.quick.conftest import BACKUP
from tests.quick.looks import ENVIRONMENT, READERS, Looks

pytestmark = pytest.mark.long

SILENT = (0, "", "")
PLUGIN = """
from bootstrapper import Change, Finding, Step, Warned, hookimpl


class Reviewed(Step):
    uses = "reviewed"
    pure = {pure}

    def changes(self, context):
        found = context.connection.execute("SELECT to_regclass('reviewed')").fetchone()[0]
        return [] if found else [Change.create("it")]

    def apply(self, context, changes):
        context.connection.execute("CREATE TABLE reviewed (body text)")

    def findings(self, context, changes):
        if changes:
            return []
        rows = context.connection.execute("SELECT body FROM reviewed").fetchall()
        {review}
        return [Finding("it", "is there")]


@hookimpl
def bootstrapper_steps():
    return [Reviewed]
"""


@pytest.fixture
def plain(looks: Looks) -> Looks:
    """A project without a backup, whose stores `status` reads."""
    file = looks.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace(BACKUP, ""))
    return looks


def use_plugin(looks: Looks, review: str, *, check: str = "", pure: bool = True) -> None:
    file = looks.folder / "bootstrap.yaml"
    text = file.read_text().replace("name: trial\n", "name: trial\nplugins: [./plugins]\n")
    file.write_text(text.replace("fixtures:\n  tenants", f"  - uses: reviewed\n{check}fixtures:\n  tenants"))
    looks.write(PLUGIN.replace("{review}", review).replace("{pure}", str(pure)), "plugins/reviewed.py")


@pytest.mark.parametrize("reader", READERS)
def test_with_nothing_to_do_both_print_nothing(plain: Looks, reader: str) -> None:
    plain.apply()
    assert plain.is_quick(reader)
    assert plain.reads(reader) == SILENT
    done = plain.spawn(reader, *ENVIRONMENT, "--quiet", "--exit-code")
    assert (done.returncode, done.stdout, done.stderr) == SILENT


@pytest.mark.parametrize("reader", READERS)
def test_with_changes_pending_the_exit_code_says_so_alone(plain: Looks, reader: str) -> None:
    plain.apply()
    plain.execute("UPDATE tenants SET name = 'another'")
    assert not plain.is_quick(reader)
    assert plain.reads(reader) == (4, "", "")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("options", [["-q"], ["--exit-code"], ["-q", "--exit-code", "--format", "json"]])
def test_a_plan_that_is_printed_is_left_to_the_ordinary_run(plain: Looks, reader: str, options: list[str]) -> None:
    plain.apply()
    done = plain.spawn(reader, *ENVIRONMENT, *options)
    assert done.returncode == 0
    assert "trial" in done.stdout


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("option", ["--follow", "--sql", "--health", "--step=migrate", "--out=plan.json"])
def test_other_options_are_left_to_click(plain: Looks, reader: str, option: str) -> None:
    plain.apply()
    assert plain.quick(option) is None or option == "--follow"
    assert plain._quick(reader, ("--exit-code", "-q", option), {}) is None


def test_a_frozen_database_is_warned_of_by_plan(plain: Looks) -> None:
    plain.apply()
    plain.run("freeze", *ENVIRONMENT, "a sale")
    assert not plain.is_quick("plan")
    code, printed, said = plain.reads("plan")
    assert (code, printed) == (0, "")
    assert "is frozen: a sale" in said
    assert plain.reads("status") == SILENT
    assert plain.quick() is not None
    plain.run("unfreeze", *ENVIRONMENT)
    assert plain.is_quick("plan")


def test_a_database_of_another_environment_is_warned_of_by_plan(plain: Looks) -> None:
    plain.apply()
    assert plain.run("environment", "set", "there").returncode == 0
    code, printed, said = plain.reads("plan")
    assert (code, printed) == (0, "")
    assert "is marked as that of environment 'there'" in said
    assert not plain.is_quick("plan")


def test_the_last_run_of_a_protected_environment_is_warned_of_by_plan(plain: Looks) -> None:
    file = plain.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("  there: {}", "  there: {protected: true}"))
    plain.apply()
    assert plain.is_quick("plan")
    plain.execute("UPDATE bootstrapper.runs SET environment = 'there'")
    assert "was last written by a run of the protected environment 'there'" in plain.reads("plan")[2]
    assert not plain.is_quick("plan")


def test_status_reads_the_stores_of_backups(looks: Looks) -> None:
    looks.apply()
    assert looks.is_quick("plan")
    assert looks.reads("plan") == SILENT
    assert not looks.is_quick("status")


def test_status_reads_the_version_rows_whatever_the_check_asks(plain: Looks) -> None:
    file = plain.folder / "bootstrap.yaml"
    file.write_text(file.read_text().replace("{revision: head}", "{table: later}"))
    plain.apply()
    assert plain.is_quick("status")
    plain.execute("ALTER TABLE alembic_version RENAME version_num TO another")
    assert not plain.is_quick("status")
    assert plain.reads("status")[0] != 0
    assert plain.quick() is not None


def test_findings_that_are_not_printed_do_not_matter(plain: Looks) -> None:
    use_plugin(plain, "pass")
    plain.apply()
    assert "! it: is there" in plain.run("plan", *ENVIRONMENT).stdout
    for reader in READERS:
        assert plain.is_quick(reader)
        assert plain.reads(reader) == SILENT


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "review",
    ["rows and context.emit(Warned('look out'))", "assert not rows", "rows and context.connection.execute('X')"],
)
def test_findings_that_warn_or_fail_later_are_left_to_the_ordinary_run(plain: Looks, reader: str, review: str) -> None:
    use_plugin(plain, review)
    plain.apply()
    assert plain.is_quick(reader)
    assert plain.reads(reader) == SILENT
    plain.execute("INSERT INTO reviewed VALUES ('it')")
    assert plain.reads(reader) != SILENT
    assert not plain.is_quick(reader)
    assert plain.quick() is not None
    assert plain.run("apply", *ENVIRONMENT).returncode == 0


@pytest.mark.parametrize(
    "review", ["context.emit(Warned('look out'))", "raise ValueError('no')", "context.connection.execute('X')"]
)
def test_findings_that_warn_or_fail_are_a_matter_of_readers_alone(plain: Looks, review: str) -> None:
    use_plugin(plain, review)
    plain.apply()
    assert plain.quick() is not None
    for reader in READERS:
        assert plain.reads(reader) != SILENT
        assert not plain.is_quick(reader)


def test_a_step_that_is_not_pure_may_have_other_findings_next_time(plain: Looks) -> None:
    use_plugin(plain, "pass", check="    check: {table: reviewed}\n", pure=False)
    plain.apply()
    assert plain.quick() is not None
    assert not any(map(plain.is_quick, READERS))


def test_a_role_that_may_not_read_the_whole_ledger_is_told_so_by_status(plain: Looks) -> None:
    plain.apply()
    name = psycopg.conninfo.conninfo_to_dict(plain.url)["dbname"]
    role = f"reader_of_{name}"
    plain.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    try:
        plain.execute(f"GRANT USAGE ON SCHEMA bootstrapper TO {role}; GRANT SELECT ON bootstrapper.meta TO {role}")
        plain.execute(f"GRANT SELECT ON bootstrapper.steps TO {role}")
        plain.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        other = Looks(Path(plain.folder), f"postgresql://{role}:p@{plain.url.rpartition('@')[2]}")
        assert not other.is_quick("status")
        assert other.reads("status")[0] == 6
        plain.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA bootstrapper TO {role}")
        assert other.is_quick("status")
        assert other.reads("status") == SILENT
    finally:
        plain.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize("reader", READERS)
def test_a_report_is_written_by_the_ordinary_run(plain: Looks, reader: str) -> None:
    plain.apply()
    assert plain._quick(reader, ("--exit-code", "-q", "--report", "report.json"), {}) is None
