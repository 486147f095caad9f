"""What a plan says of steps that earlier ones may give more to do, and what apply does without its having been said."""

from __future__ import annotations

import pytest

from bootstrapper.builtin.renderers.text import TextRenderer
from bootstrapper.errors import FixtureError, UnplannedChangeError
from bootstrapper.events import StepStarted
from bootstrapper.plans import Action, Plan, PlannedStep, State
from tests.migrations.projects import write_env, write_revision
from tests.projects import TrialProject

COUNTRIES = "CREATE TABLE countries (code text PRIMARY KEY, name text)"
MIGRATE = "INSERT INTO countries VALUES ('FR', 'France'), ('IT', 'Italy')"

FILE = """
steps:
  - uses: lock
  - uses: sql
    name: migrate
    with: {{statement: "{statement}"}}
    check: {{once: r2}}
  - uses: seed
fixtures:
  countries: {{key: [code], mode: {mode}, rows: [{{code: DE, name: Germany}}]}}
"""


def declare(project: TrialProject, statement: str, mode: str = "sync, where: all") -> None:
    project.write(FILE.format(statement=statement, mode=mode))


def last(plan: Plan) -> PlannedStep:
    return plan.steps[-1]


@pytest.fixture
def seeded(project: TrialProject) -> TrialProject:
    """One country, seeded; nothing else to do."""
    project.rows(COUNTRIES)
    declare(project, "SELECT 1")
    project.apply(skip=("migrate",))
    return project


def codes(project: TrialProject) -> list[str]:
    return [code for (code,) in project.rows("SELECT code FROM countries ORDER BY code")]


def test_a_seed_that_is_done_is_shown_as_depending_on_what_comes_before_it(seeded: TrialProject) -> None:
    declare(seeded, MIGRATE)
    plan = seeded.plan()
    seed = last(plan)
    assert (seed.state, seed.reason) == (State.DEFERRED, "as declared now; migrate may change it")
    assert [(item.needs, item.may, item.at_most, item.after) for item in seed.deferred] == [
        ("step migrate", frozenset({Action.CREATE, Action.UPDATE}), 1, ("migrate",))
    ]
    text = TextRenderer().plan(plan)
    assert "? seed           as declared now; migrate may change it\n" in text
    assert "    ? after migrate: may create or update, at most 1 change\n" in text
    assert Plan.from_json(plan.to_json()) == plan


def test_a_deletion_that_the_plan_did_not_show_is_never_made(seeded: TrialProject) -> None:
    declare(seeded, MIGRATE)
    with pytest.raises(UnplannedChangeError, match="step 'seed' would delete countries code=FR and 1 more") as caught:
        seeded.apply()
    assert "`bootstrapper plan`" in (caught.value.hint or "")
    assert codes(seeded) == ["DE", "FR", "IT"]
    assert [event.step for event in seeded.events if isinstance(event, StepStarted)][-1] == "migrate"
    shown = [(change.action, change.target) for change in last(seeded.plan()).changes]
    assert shown == [(Action.DELETE, "countries code=FR"), (Action.DELETE, "countries code=IT")]
    seeded.apply()
    assert codes(seeded) == ["DE"]


def test_a_row_that_another_client_adds_while_the_run_is_under_way_is_not_deleted(seeded: TrialProject) -> None:
    seeded.rows("INSERT INTO countries VALUES ('XX', 'Nowhere')")
    declare(seeded, "INSERT INTO countries VALUES ('FR', 'France')")
    with pytest.raises(UnplannedChangeError, match=r"would delete countries code=FR, which"):
        seeded.apply()  # XX alone was shown
    assert codes(seeded) == ["DE", "FR", "XX"]


def test_an_update_which_undoes_an_earlier_step_was_shown_as_possible(seeded: TrialProject) -> None:
    declare(seeded, "UPDATE countries SET name = upper(name)", mode="update")
    assert Action.UPDATE in last(seeded.plan()).deferred[0].may
    seeded.apply()
    assert seeded.rows("SELECT name FROM countries") == [("Germany",)]


def test_a_row_that_an_earlier_step_deletes_was_shown_as_possible(seeded: TrialProject) -> None:
    declare(seeded, "DELETE FROM countries", mode="create")
    (deferred,) = last(seeded.plan()).deferred
    assert (deferred.may, deferred.at_most) == (frozenset({Action.CREATE}), 1)
    seeded.apply()
    assert codes(seeded) == ["DE"]


def test_the_changes_of_a_depending_step_stand_beside_what_may_come(seeded: TrialProject) -> None:
    declare(seeded, "SELECT 1 + 1")
    text = (seeded.folder / "bootstrap.yaml").read_text()
    seeded.write(text.replace("name: Germany}", "name: Germany}, {code: ES, name: Spain}"))
    seed = last(seeded.plan())
    assert [change.target for change in seed.changes] == ["countries code=ES"]
    assert [(item.after, item.at_most) for item in seed.deferred] == [(("migrate",), 1)]


def test_a_row_that_was_to_be_created_may_turn_out_to_be_there(seeded: TrialProject) -> None:
    seeded.rows("DELETE FROM countries")
    declare(seeded, "INSERT INTO countries VALUES ('DE', 'Allemagne')", mode="update")
    assert last(seeded.plan()).deferred == ()  # it is named already
    seeded.apply()
    assert seeded.rows("SELECT name FROM countries") == [("Germany",)]


def test_steps_that_a_check_or_a_when_decides_depend_likewise(project: TrialProject) -> None:
    project.rows("CREATE TABLE one ()")
    project.write("""
environments: {test: {}}
steps:
  - uses: lock
  - {uses: sql, name: first, with: {statement: "DROP TABLE one; CREATE TABLE other ()"}, check: {table: other}}
  - {uses: sql, name: checked, with: {statement: "CREATE TABLE one ()"}, check: {table: one}}
  - {uses: sql, name: asked, with: {statement: "CREATE TABLE two ()"}, when: {table: other}, check: {table: two}}
  - {uses: sql, name: elsewhere, with: {statement: "SELECT 1"}, when: {environment: [prod]}, check: never}
""")
    *_, checked, asked, elsewhere = project.plan(environment="test").steps
    assert (checked.state, checked.reason) == (State.DEFERRED, "table one exists now; first may change it")
    assert asked.reason == "not needed: table other does not exist now; first may change it"
    assert [item.at_most for item in (*checked.deferred, *asked.deferred)] == [1, 1]
    assert elsewhere.state is State.SKIPPED
    assert [step.name for step in project.apply(environment="test").applied] == ["first", "checked", "asked"]


def test_a_backup_or_an_extension_gives_no_later_step_more_to_do(seeded: TrialProject) -> None:
    text = (seeded.folder / "bootstrap.yaml").read_text()
    backup = "- uses: lock\n  - {uses: backup, with: {directory: backups}}"
    seeded.write(text.replace("- uses: lock", backup))
    assert [step.state for step in seeded.plan(skip=("migrate",)).steps if step.uses == "seed"] == [State.DONE]


def test_a_seeded_column_that_an_earlier_step_renames_is_named_at_the_turn_of_the_seed(seeded: TrialProject) -> None:
    declare(seeded, "ALTER TABLE countries RENAME name TO title", mode="update")
    assert last(seeded.plan()).reason == "as declared now; migrate may change it"
    for _ in range(2):  # in apply, and then in every plan: nothing is pending that could bring it
        with pytest.raises(FixtureError, match="table countries has no column 'name'"):
            seeded.apply()
    with pytest.raises(FixtureError):
        seeded.plan()


def test_a_plan_announces_a_revision_that_writes_to_a_seeded_table(project: TrialProject) -> None:
    steps = FILE[FILE.index("  - uses: seed") :].format(mode="sync, where: all")
    project.write(f"steps:\n  - uses: lock\n  - {{uses: migrate, with: {{script_location: migrations}}}}\n{steps}")
    write_env(project.folder)
    write_revision(project.folder, "r1", upgrade=f'op.execute("{COUNTRIES}")')
    project.apply()
    write_revision(project.folder, "r2", "r1", upgrade=f'op.execute("{MIGRATE}")')
    seed = last(project.plan())
    assert (seed.reason, seed.deferred[0].at_most) == ("as declared now; migrate may change it", 1)
    with pytest.raises(UnplannedChangeError, match="would delete countries code=FR and 1 more"):
        project.apply()
    assert codes(project) == ["DE", "FR", "IT"]
    assert project.rows("SELECT version_num FROM alembic_version") == [("r2",)]


QUIET = """
import psycopg
from bootstrapper import Change, Step, hookimpl

class Quiet(Step):
    uses = "quiet"
    leaves_others_alone = True

    def changes(self, context):
        there = context.connection.execute("SELECT to_regclass('quiet')").fetchone()[0]
        return [] if there else [Change.run("something elsewhere")]

    def apply(self, context, changes):
        context.connection.execute("CREATE TABLE quiet ()")
        with psycopg.connect(context.connection.info.dsn, password=context.connection.info.password) as other:
            other.execute("UPDATE countries SET name = 'by hand'")

@hookimpl
def bootstrapper_steps():
    return [Quiet]
"""


def test_what_another_client_writes_is_set_back_where_no_step_before_changed_rows(seeded: TrialProject) -> None:
    declare(seeded, "SELECT 1", mode="update")
    text = (seeded.folder / "bootstrap.yaml").read_text()
    seeded.write(QUIET, "plugins/quiet.py")
    seeded.write(
        text.replace("steps:\n", "plugins: [./plugins]\nsteps:\n").replace(
            "  - uses: seed", "  - uses: quiet\n  - uses: seed"
        )
    )
    plan = seeded.plan(skip=("migrate",))
    assert last(plan).state is State.DONE
    seeded.apply(skip=("migrate",))
    assert seeded.rows("SELECT name FROM countries") == [("Germany",)]
