"""`extension` through a whole run: what is missing, which version, which schema, and whether the role may."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bootstrapper.errors import StepFailedError
from bootstrapper.plans import Action, PlannedStep, State
from tests.projects import HEAD, TrialProject

MAY_CREATE = "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {role}', current_database()); END $$"
STATE = "SELECT extversion, extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'"


def declare(project: TrialProject, options: str, *, name: str = "pg_trgm", above: str = "") -> None:
    step = f"{{uses: extension, with: {{name: {name}{options}}}}}"
    project.write(f"{HEAD}steps:\n  - uses: lock\n{above}  - {step}\n")


def planned(project: TrialProject, **options: object) -> PlannedStep:
    return project.plan(**options).steps[-1]


def test_a_missing_extension_is_created_and_left_as_it_is_from_then_on(project: TrialProject) -> None:
    declare(project, "")
    [change] = planned(project).changes
    assert (change.action, change.target) == (Action.CREATE, "extension pg_trgm")
    assert change.reason == "not installed; the server offers 1.6"
    assert [step.name for step in project.apply().applied] == ["extension"]
    assert project.rows(STATE) == [("1.6", "public")]
    assert project.apply().applied == ()


def test_a_declared_version_is_created_and_updated_and_the_schema_moved_with_it(project: TrialProject) -> None:
    project.rows("CREATE SCHEMA other")
    declare(project, ", version: '1.5'")
    project.apply()
    assert project.rows(STATE) == [("1.5", "public")]
    declare(project, ", version: '1.6', schema: other")
    [change] = planned(project).changes
    assert (change.action, change.before, change.after) == (
        Action.UPDATE,
        {"version": "1.5", "schema": "public"},
        {"version": "1.6", "schema": "other"},
    )
    project.apply()
    assert project.rows(STATE) == [("1.6", "other")]
    assert planned(project).state is State.DONE


def test_the_statements_can_be_seen(project: TrialProject) -> None:
    project.rows('CREATE SCHEMA "o\'ther"')
    declare(project, """, version: '1.5', schema: "o'ther" """)
    [change] = planned(project, sql=True).changes
    assert change.after["sql"] == """CREATE EXTENSION "pg_trgm" SCHEMA "o'ther" VERSION '1.5';"""
    project.apply()
    declare(project, ", version: '1.6', schema: public")
    [change] = planned(project, sql=True).changes
    assert change.after["sql"] == (
        'ALTER EXTENSION "pg_trgm" UPDATE TO \'1.6\';\nALTER EXTENSION "pg_trgm" SET SCHEMA "public";'
    )


def test_what_an_earlier_step_creates_is_waited_for(project: TrialProject) -> None:
    there = "SELECT to_regnamespace('other') IS NOT NULL"
    above = f'  - {{uses: sql, with: {{statement: CREATE SCHEMA other}}, check: {{sql: "{there}"}}}}\n'
    declare(project, ", schema: other", above=above)
    [deferred] = planned(project).deferred
    assert (deferred.needs, deferred.reason, deferred.at_most) == ("schema other", "it does not exist", 1)
    project.apply()
    assert project.rows(STATE) == [("1.6", "other")]


def test_an_extension_that_it_requires_is_waited_for(project: TrialProject) -> None:
    cube = "  - {uses: extension, name: cube, with: {name: cube}}\n"
    declare(project, "", name="earthdistance", above=cube)
    assert [item.needs for item in planned(project).deferred] == ["extension cube"]
    assert [step.name for step in project.apply().applied] == ["cube", "extension"]


@pytest.mark.parametrize(("options", "needs"), [(", schema: nowhere", "schema nowhere"), ("", "extension cube")])
def test_what_nothing_creates_fails_the_step(project: TrialProject, options: str, needs: str) -> None:
    declare(project, options, name="earthdistance")
    with pytest.raises(StepFailedError, match=f"extension earthdistance needs {needs}: it does not exist") as raised:
        project.apply()
    assert raised.value.hint == "Create it in an earlier step."


@pytest.mark.parametrize(
    ("name", "options", "said", "hint"),
    [
        ("no_such", "", "no_such is not available on this server", "Install its package on the server."),
        ("pg_trgm", ", version: '9.9'", "has no version 9.9 on this server", "Declare 1.3, 1.4, 1.5 or 1.6."),
        ("plpgsql", ", schema: public", "is in schema pg_catalog and cannot be moved", "Declare that schema."),
    ],
)
def test_what_the_server_cannot_do_is_an_error_of_the_plan(
    project: TrialProject, name: str, options: str, said: str, hint: str
) -> None:
    declare(project, options, name=name)
    with pytest.raises(StepFailedError) as raised:
        project.plan()
    assert (said in str(raised.value), raised.value.hint) == (True, hint)
    assert raised.value.source is not None
    assert project.status().plan.steps[-1].state is State.UNKNOWN


def test_an_update_to_an_unknown_version_or_back_is_an_error_of_the_plan(project: TrialProject) -> None:
    declare(project, "")
    project.apply()
    for version, said in [("9.9", "has no version 9.9"), ("1.5", "cannot be updated from 1.6 to 1.5")]:
        declare(project, f", version: '{version}'")
        with pytest.raises(StepFailedError, match=said):
            project.plan()


def test_a_role_that_may_not_create_it_is_told_in_the_plan_and_when_it_tries(
    project: TrialProject, role: Callable[..., None]
) -> None:
    role(MAY_CREATE)
    declare(project, "", name="pageinspect")
    [finding] = planned(project).findings
    assert "only a superuser can create it, and role_" in finding.message
    assert "provider" in finding.remedy
    with pytest.raises(StepFailedError, match='permission denied to create extension "pageinspect"') as raised:
        project.apply()
    assert raised.value.hint == "Must be superuser to create this extension."
    declare(project, "")
    assert planned(project).findings == ()  # it is trusted
    project.apply()


def test_a_role_without_create_on_the_database_is_told_in_the_plan(
    project: TrialProject, role: Callable[..., None]
) -> None:
    role()
    declare(project, "")
    assert [item.message.partition(" lacks ")[2] for item in planned(project).findings] == ["CREATE on the database"]


def test_another_owners_extension_cannot_be_updated(project: TrialProject, role: Callable[..., None]) -> None:
    project.rows("CREATE EXTENSION pg_trgm VERSION '1.5'")
    role(MAY_CREATE)
    declare(project, ", version: '1.6'")
    with pytest.raises(StepFailedError, match="must be owner of extension pg_trgm") as raised:
        project.apply()
    assert raised.value.hint == "Only the owner of an extension can change it."
