"""Statements of the project run with its own settings, and what they do to the session ends with them."""

import pytest

from bootstrapper.errors import BootstrapperError
from tests.engine.notes import plugin
from tests.projects import TrialProject

STEPS = """
steps:
  - uses: lock
  - name: first
    uses: sql
    with: {{statement: "{first}"}}
    check: {{table: marks}}
  - name: second
    uses: sql
    with: {{statement: "{second}"}}
    check: {{sql: "SELECT count(*) > 0 FROM users"}}
"""
TABLES = """
CREATE TABLE teams (id int PRIMARY KEY);
CREATE TABLE users (id int PRIMARY KEY, team int REFERENCES teams);
"""


def write(project: TrialProject, first: str, second: str = "INSERT INTO users VALUES (1)") -> None:
    project.rows(TABLES)
    project.write(STEPS.format(first=f"{first}; CREATE TABLE public.marks (i int)", second=second))


def test_a_step_that_turns_foreign_keys_off_does_so_for_itself_only(project: TrialProject) -> None:
    write(project, "SET session_replication_role = replica", "INSERT INTO users VALUES (1, 7)")
    with pytest.raises(BootstrapperError, match="foreign key"):
        project.apply()
    assert project.rows("SELECT * FROM users") == []


def test_a_search_path_that_a_step_set_ends_with_it(project: TrialProject) -> None:
    project.rows("CREATE SCHEMA tenant; CREATE TABLE tenant.users (id int PRIMARY KEY)")
    write(project, "SET search_path = tenant")
    project.write(
        (project.folder / "bootstrap.yaml").read_text()
        + "  - {name: third, uses: seed}\n"
        + "fixtures: {users: {table: users, key: [id], rows: [{id: 5}]}}\n"
    )
    project.apply()
    assert project.rows("SELECT id FROM public.users ORDER BY id") == [(1,), (5,)]
    assert project.rows("SELECT id FROM tenant.users") == []


def test_a_dump_that_empties_the_search_path_passes_its_check(project: TrialProject) -> None:
    empty = "SELECT pg_catalog.set_config('search_path', '', false)"
    project.write(
        STEPS.format(first=f"{empty}; CREATE TABLE public.marks (i int)", second="INSERT INTO users VALUES (1)")
    )
    project.rows(TABLES)
    project.apply()
    assert project.has("marks")


def test_triggers_and_defaults_see_the_search_path_of_the_projects_own_sessions(project: TrialProject) -> None:
    project.rows(TABLES)
    project.rows(
        """
        CREATE TABLE audit (id int);
        CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN INSERT INTO audit VALUES (NEW.id); RETURN NULL; END$$;
        CREATE TRIGGER at_once AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION noted();
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION noted();
        """
    )
    project.write(
        """
steps: [{uses: lock}, {uses: seed}]
fixtures: {users: {table: users, key: [id], rows: [{id: 5}]}}
"""
    )
    project.apply()
    assert project.rows("SELECT id FROM audit") == [(5,), (5,)]


def test_temporary_tables_end_with_their_step(project: TrialProject) -> None:
    write(project, "CREATE TEMP TABLE users (id int)")
    project.apply()
    assert project.rows("SELECT id FROM public.users") == [(1,)]


def test_prepared_statements_and_channels_that_are_listened_to_end_with_their_step(project: TrialProject) -> None:
    left = "SELECT (SELECT count(*) FROM pg_prepared_statements) + (SELECT count(*) FROM pg_listening_channels())"
    write(project, "PREPARE asked AS SELECT 1; LISTEN news", f"INSERT INTO users {left}")
    project.apply()
    assert project.rows("SELECT id FROM public.users") == [(0,)]


def test_a_role_that_was_set_ends_with_its_step(project: TrialProject) -> None:
    project.rows("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # as servers since 15 have it
    write(project, "SET ROLE pg_read_all_data; RESET ROLE; SET LOCAL ROLE pg_monitor; RESET ROLE; SET ROLE pg_monitor")
    with pytest.raises(BootstrapperError, match="permission denied"):  # for the table, in the step itself
        project.apply()
    write_role = "CREATE TABLE public.marks (i int); SET ROLE pg_monitor"
    project.write(STEPS.format(first=write_role, second="INSERT INTO users VALUES (1)"))
    project.apply()
    assert project.rows("SELECT id FROM users") == [(1,)]


def test_statements_see_the_time_zone_of_the_projects_own_sessions(project: TrialProject) -> None:
    name = project.database.rpartition("/")[2]
    project.rows(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Tokyo'")
    write(project, "CREATE TABLE zones AS SELECT current_setting('timezone') AS zone")
    project.apply()
    assert project.rows("SELECT zone FROM zones") == [("Asia/Tokyo",)]


def test_a_backslash_cannot_end_a_literal_where_the_database_has_old_strings(project: TrialProject) -> None:
    name = project.database.rpartition("/")[2]
    project.rows(f'ALTER DATABASE "{name}" SET standard_conforming_strings = off')
    project.rows("CREATE TABLE notes (text text)")
    project.write(
        r"""
steps:
  - uses: lock
  - uses: sql
    with: {statement: "INSERT INTO notes VALUES ('a\\''); COMMIT; DROP TABLE notes; --')"}
    check: {sql: "SELECT count(*) > 0 FROM notes"}
"""
    )
    project.apply()
    assert project.rows("SELECT text FROM notes") == [("a\\'); COMMIT; DROP TABLE notes; --",)]


SEEING = """
class Seeing(Step):
    uses = "seeing"

    def changes(self, context):
        path = context.connection.execute("SHOW search_path").fetchone()[0]
        context.connection.execute("SET LOCAL search_path = elsewhere")
        return [Change.create(self.name, reason=path)]

    def apply(self, context, changes):
        pass

class Own(Seeing):
    uses = "own"
    borrows_session = False

@hookimpl
def bootstrapper_steps():
    return [Seeing, Own]
"""
PROJECTS = '"$user", public'
OURS = "pg_catalog, pg_temp"


@pytest.mark.parametrize(
    "uses",
    [
        ["seeing"],
        ["own"],
        ["seeing", "seeing"],
        ["seeing", "own", "seeing"],
        ["own", "seeing", "seeing", "own"],
    ],
)
@pytest.mark.parametrize("check", ["", "    check: {sql: SELECT false}\n"])
def test_every_step_of_a_look_sees_the_settings_that_it_asks_for_whatever_those_before_it_set(
    project: TrialProject, uses: list[str], check: str
) -> None:
    plugin(project, SEEING)
    steps = "".join(f"  - {{uses: {each}, name: step{number}}}\n" for number, each in enumerate(uses))
    if check:
        steps += f"  - uses: sql\n    name: asked\n    with: {{statement: SELECT 1}}\n{check}"
    project.write(f"plugins: [./plugins]\nsteps:\n  - uses: lock\n{steps}")
    seen = {step.name: step.changes[0].reason for step in project.plan().steps if step.name.startswith("step")}
    assert list(seen.values()) == [PROJECTS if each == "seeing" else OURS for each in uses]


def test_a_look_goes_on_with_the_settings_of_the_projects_own_sessions_after_a_probe_that_failed(
    project: TrialProject,
) -> None:
    plugin(project, SEEING)
    project.write(
        "plugins: [./plugins]\nsteps:\n  - uses: lock\n  - {uses: seeing, name: first}\n"
        "  - uses: sql\n    name: asked\n    with: {statement: SELECT 1}\n"
        "    check: {sql: SELECT count(*) > 0 FROM absent}\n"
    )
    steps = {step.name: step for step in project.plan().steps}
    assert steps["first"].changes[0].reason == PROJECTS
    assert steps["asked"].check is not None
    assert steps["asked"].check.is_unknown
