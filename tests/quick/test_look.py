"""What the quick look answers, and what it leaves to the ordinary run, which is its oracle."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.quick.looks import Looks

Change = Callable[[Looks], object]


@pytest.mark.smoke
def test_after_an_apply_the_quick_look_prints_what_the_ordinary_run_prints(looks: Looks) -> None:
    assert looks.quick() is None
    looks.apply()
    code, lines = looks.ordinary()
    assert (code, looks.quick()) == (0, lines)
    assert lines[-1] == "nothing to do: the database matches bootstrap.yaml"


def test_a_follower_is_told_the_same(looks: Looks) -> None:
    looks.apply()
    assert looks.quick("--follow") == looks.ordinary("--follow")[1]


def test_a_quiet_one_prints_nothing(looks: Looks) -> None:
    looks.apply()
    assert looks.quick("-q") == []


def edit(name: str, old: str, new: str) -> Change:
    def change(looks: Looks) -> None:
        file = looks.folder / name
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    return change


def execute(statement: str) -> Change:
    return lambda looks: looks.execute(statement)


REVISION = '"""third"""\nrevision = "third"\ndown_revision = "second"\n\n\ndef upgrade():\n    pass\n'
CHANGES: dict[str, Change] = {
    "a row changed by hand": execute("UPDATE tenants SET name = 'another'"),
    "a row deleted": execute("DELETE FROM prices WHERE code = 7"),
    "an undeclared row": execute("INSERT INTO prices VALUES (500, 1)"),
    "a table dropped": execute("DROP TABLE notes"),
    "a column dropped": execute("ALTER TABLE prices DROP COLUMN price CASCADE"),
    "another type of a column": execute("ALTER TABLE prices ALTER COLUMN price TYPE float8"),
    "the version behind": execute("UPDATE alembic_version SET version_num = 'first'"),
    "the version ahead": execute("UPDATE alembic_version SET version_num = 'later'"),
    "the mark of once gone": execute("DELETE FROM bootstrapper.steps WHERE marks <> '{}'"),
    "a row of the check gone": execute("DELETE FROM notes WHERE body = 'hello'"),
    "a new revision": lambda looks: looks.write(REVISION, "migrations/versions/third_.py"),
    "a revision edited": edit("migrations/versions/second_.py", "later", "sooner"),
    "a revision removed": lambda looks: (looks.folder / "migrations/versions/second_.py").unlink(),
    "another alembic.ini": lambda looks: looks.write("[alembic]\nscript_location = migrations\n", "alembic.ini"),
    "a row of the data file": edit("prices.csv", "7,7.50", "7,8.50"),
    "the SQL file": edit("notes.sql", "('a')", "('b')"),
    "the file": edit("bootstrap.yaml", "Default of", "Standard of"),
    "a comment in the file": edit("bootstrap.yaml", "fixtures:\n  tenants", "# ours\nfixtures:\n  tenants"),
    "the overlay": edit("here.yaml", "60s", "50s"),
    "a view in place of the ledger's table": execute(
        "ALTER TABLE bootstrapper.meta RENAME TO old; CREATE VIEW bootstrapper.meta AS TABLE bootstrapper.old"
    ),
    "a trigger on the ledger": execute(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        " CREATE TRIGGER t AFTER INSERT ON bootstrapper.meta FOR EACH ROW EXECUTE FUNCTION f()"
    ),
    "another search_path of the database": lambda looks: looks.execute(
        f"ALTER DATABASE {psycopg.conninfo.conninfo_to_dict(looks.url)['dbname']} SET search_path = nowhere"
    ),
    "read-only by default": lambda looks: looks.execute(
        f"ALTER DATABASE {psycopg.conninfo.conninfo_to_dict(looks.url)['dbname']}"
        " SET default_transaction_read_only = on"
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_changes_is_left_to_the_ordinary_run(looks: Looks, change: Change) -> None:
    looks.apply()
    assert looks.quick() is not None
    change(looks)
    assert looks.quick() is None


@pytest.mark.parametrize(
    "variables", [{"GREETING": "ahoy"}, {"PLACE": "somewhere"}, {"PGOPTIONS": "-c search_path=nowhere"}]
)
def test_so_is_another_value_of_a_variable(looks: Looks, variables: dict[str, str]) -> None:
    looks.apply()
    assert looks.quick(**variables) is None


def test_a_secret_does_not_count_since_its_row_is_not_written_again(looks: Looks) -> None:
    looks.apply()
    assert looks.quick(ADMIN="another") is not None
    assert looks.ordinary(ADMIN="another")[0] == 0


@pytest.mark.parametrize(
    "options",
    [["--step", "migrate"], ["--report", "x.json"], ["--format", "json"], ["--timeout", "5s"], ["--unknown"], ["plan"]],
)
def test_other_options_are_left_to_click(looks: Looks, options: list[str]) -> None:
    looks.apply()
    assert looks.quick(*options) is None


def test_what_else_the_database_holds_does_not_matter(looks: Looks) -> None:
    looks.apply()
    looks.execute("INSERT INTO users VALUES ('someone@example.com', NULL, NULL)")
    looks.execute("UPDATE prices SET kept = 7 WHERE code = 3")
    looks.execute("INSERT INTO prices VALUES (5000, 1)")
    looks.execute("VACUUM ANALYZE")
    looks.execute("CREATE TABLE another (id int)")
    assert looks.quick() is not None
    assert looks.ordinary()[0] == 0


def test_a_record_is_that_of_its_own_environment(looks: Looks) -> None:
    looks.apply()
    assert looks.quick("-e", "there") is None


def test_a_changed_row_that_is_mended_is_nothing_to_do_again(looks: Looks) -> None:
    looks.apply()
    looks.execute("UPDATE tenants SET name = 'another'")
    assert looks.quick() is None
    looks.apply()
    assert looks.quick() is not None


def test_another_process_that_holds_the_lock_does_not_matter(looks: Looks) -> None:
    looks.apply()
    with psycopg.connect(looks.url) as connection:
        connection.execute("SELECT FROM bootstrapper.lock FOR UPDATE")
        assert looks.quick() is not None


def test_a_run_with_nothing_to_do_writes_no_record(looks: Looks) -> None:
    looks.apply()
    looks.execute("DELETE FROM bootstrapper.meta WHERE key LIKE 'quick:%'")
    looks.apply()
    assert looks.quick() is None


def test_the_newest_records_are_kept(looks: Looks) -> None:
    for number in range(10):
        looks.apply(GREETING=f"greeting {number}")
        edit("bootstrap.yaml", "version: 1", f"# {number}\nversion: 1")(looks)
    with psycopg.connect(looks.url) as connection:
        assert connection.execute("SELECT count(*) FROM bootstrapper.meta WHERE key LIKE 'quick:%'").fetchone() == (8,)
