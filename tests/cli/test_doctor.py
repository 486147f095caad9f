"""Tests of `doctor`: its lines, its JSON and its exit codes, for servers and roles that lack something."""

from __future__ import annotations

import json
import re
from typing import Any

import click
import psycopg
import pytest

from bootstrapper.cli import group
from bootstrapper.doctor.privileges import NAMES, WITHOUT_DATABASE
from tests import peers
from tests.cli.project import BOOTSTRAP, Project
from tests.faults.pgbouncer import PgBouncer
from tests.servers import Server
from tests.waiting import eventually

BACKUP = BOOTSTRAP.replace(
    "  - uses: sql\n    name: notes", "  - {uses: backup, with: {directory: kept}}\n  - uses: sql\n    name: notes"
)


def execute(project: Project, *statements: str) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def examined(project: Project, *arguments: str, **variables: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Returns the exit code and the last result of each check."""
    run = project.run("doctor", "--format", "json", *arguments, **variables)
    return run.returncode, {result["check"]: result for result in json.loads(run.stdout)["results"]}


def required(project: Project, command: str) -> list[str]:
    """Returns the statements for what a command does not run without."""
    found = json.loads(project.run("doctor", "--for", command, "--format", "json").stdout)["results"]
    return [text for result in found if result["verdict"] == "problem" for text in result["statements"]]


@pytest.mark.smoke
def test_doctor_without_a_problem_ends_with_0_and_a_line_a_check(project: Project) -> None:
    run = project.run("doctor", COLUMNS="200")
    assert run.returncode == 0, run.stdout
    assert (
        run.stderr
        == f"doctor · {project.url.partition('@')[2].partition('/')[0]} · database {project.url.rpartition('/')[2]}\n"
    )
    lines = run.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:7]] == [
        ["ok", name] for name in ("server", "role", "connection", "encryption", "connections", "clock", "ledger")
    ]
    assert re.search(r"^ok +ledger +does not exist yet in schema 'bootstrapper'; ", run.stdout, re.MULTILINE)
    assert lines[-1] == "No problems."


def test_doctor_of_an_unreachable_server_still_examines_this_machine(offline: Project) -> None:
    offline.write(BACKUP)
    run = offline.run("doctor", "--timeout", "5s", COLUMNS="200")
    assert run.returncode == 5
    assert re.search(r"^problem  server +127.0.0.1:1/app cannot be reached: ", run.stdout)
    assert re.search(r"^(warning|ok) +pg_dump ", run.stdout, re.MULTILINE)
    assert re.search(r"^ok +queue ", run.stdout, re.MULTILINE)
    assert "hunter2" not in run.stdout + run.stderr


def test_doctor_with_a_wrong_password_ends_as_the_command_would(project: Project) -> None:
    code, found = examined(Project(project.folder, project.url.replace("correct%20horse", "wrong")))
    assert code == 6
    assert "wrong user name or password" in found["server"]["message"]


def test_doctor_of_a_read_only_server_names_the_setting_and_is_content_for_a_plan(project: Project) -> None:
    name = project.url.rpartition("/")[2]
    execute(project, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    code, found = examined(project)
    assert (code, found["server"]["verdict"]) == (5, "problem")
    assert "default_transaction_read_only" in found["server"]["message"]
    code, found = examined(project, "--for", "status")
    assert (code, found["server"]["verdict"]) == (0, "warning")


def test_doctor_prints_each_grant_on_a_line_of_its_own_and_quotes_names(project: Project, server: Server) -> None:
    name = project.url.rpartition("/")[2]
    role = f'odd "role" of {name}'
    quoted = role.replace('"', '""')
    execute(project, f"CREATE ROLE \"{quoted}\" LOGIN PASSWORD 'p'")
    try:
        poor = Project(project.folder, f"postgresql://odd%20%22role%22%20of%20{name}:p@127.0.0.1:{server.port}/{name}")
        run = poor.run("doctor", COLUMNS="60")
        assert run.returncode == 6
        grants = [line for line in run.stdout.splitlines() if line.startswith("GRANT ")]
        assert grants == [f'GRANT CREATE ON DATABASE "{name}" TO "{quoted}";']
        execute(project, *grants)
        assert poor.run("doctor").returncode == 0
    finally:
        execute(project, f'DROP OWNED BY "{quoted}"', f'DROP ROLE "{quoted}"')


def test_doctor_behind_a_pooler_asks_for_direct_url_where_a_backup_needs_it(project: Project, server: Server) -> None:
    with PgBouncer(server, "transaction") as pooler:
        pooled = Project(project.folder, pooler.url(project.url))
        code, found = examined(pooled)
        assert (code, found["connection"]["verdict"]) == (0, "warning")
        assert "direct_url" in found["connection"]["remedy"]
        project.write(BACKUP)
        code, found = examined(pooled)
        assert (code, found["connection"]["verdict"]) == (9, "problem")
        direct = BACKUP.replace('url: "${DATABASE_URL}"', 'url: "${DATABASE_URL}", direct_url: "${DIRECT_URL}"')
        project.write(direct)
        code, found = examined(pooled, DIRECT_URL=project.url)
        assert (code, found["connection"]["message"]) == (0, "direct, by direct_url")
        code, found = examined(pooled, DIRECT_URL=pooled.url)
        assert (code, found["connection"]["message"][:28]) == (9, "direct_url leads to a pooler")


def test_doctor_behind_a_pooler_in_statement_mode_says_so(project: Project, server: Server) -> None:
    with PgBouncer(server, "statement") as pooler:
        code, found = examined(Project(project.folder, pooler.url(project.url)))
    assert code == 6
    assert "statement mode" in found["server"]["message"]


def test_doctor_warns_when_few_connections_are_left_to_the_role(project: Project, server: Server) -> None:
    name = project.url.rpartition("/")[2]
    execute(project, f"CREATE ROLE {name}_few LOGIN PASSWORD 'p' CONNECTION LIMIT 2")
    execute(project, f'GRANT CREATE ON DATABASE "{name}" TO {name}_few')
    try:
        few = Project(project.folder, f"postgresql://{name}_few:p@127.0.0.1:{server.port}/{name}")
        code, found = examined(few)
        assert (code, found["connections"]["verdict"]) == (0, "warning")
        assert f"2 of 2 left by the limit of role '{name}_few'" in found["connections"]["message"]
    finally:
        execute(project, f"DROP OWNED BY {name}_few", f"DROP ROLE {name}_few")


def test_doctor_names_the_run_that_holds_the_lock(project: Project) -> None:
    assert project.run("apply").returncode == 0
    execute(
        project,
        "UPDATE bootstrapper.lock SET run_id = '01900000-0000-7000-8000-000000000001', mode = 'direct', host = 'far',"
        " pid = 7, step = 'notes', acquired_at = now()",
    )
    code, found = examined(project)
    assert (code, found["lock"]["verdict"]) == (0, "warning")
    assert (
        "held by run 01900000-0000-7000-8000-000000000001 (host far, process 7), in step 'notes'"
        in found["lock"]["message"]
    )


def test_doctor_names_a_ledger_that_has_code_on_it(project: Project) -> None:
    assert project.run("apply").returncode == 0
    execute(project, "CREATE RULE nothing AS ON DELETE TO bootstrapper.meta DO INSTEAD NOTHING")
    run = project.run("doctor", COLUMNS="200")
    assert run.returncode == 6
    assert "problem  ledger       127.0.0.1" in run.stdout
    assert "has triggers, rules or policies" in run.stdout


def test_doctor_of_a_role_that_may_not_dump_names_what_it_may_not_read(project: Project, server: Server) -> None:
    project.write(BACKUP)
    name = project.url.rpartition("/")[2]
    execute(
        project,
        "CREATE TABLE secrets (id serial); CREATE TABLE tenants (id int)",
        "ALTER TABLE tenants ENABLE ROW LEVEL SECURITY",
        f"CREATE ROLE {name}_dump LOGIN PASSWORD 'p'; GRANT CREATE ON DATABASE \"{name}\" TO {name}_dump",
        f"GRANT SELECT ON tenants TO {name}_dump",
    )
    try:
        dumper = Project(project.folder, f"postgresql://{name}_dump:p@127.0.0.1:{server.port}/{name}")
        code, found = examined(dumper)
        assert code == 1
        assert found["backup"]["details"] == [
            "public.secrets and public.secrets_id_seq",
            "rows of public.tenants, by row-level security",
        ]
        execute(project, *found["backup"]["statements"])
        assert examined(dumper)[0] == 0
        assert dumper.run("backup").returncode == 0
    finally:
        execute(project, f"DROP OWNED BY {name}_dump", f"DROP ROLE {name}_dump")


def test_doctor_names_missing_programs_and_a_folder_that_is_not_one(project: Project) -> None:
    project.write(BACKUP.replace("directory: kept", "directory: kept, pg_dump: nowhere"))
    (project.folder / "kept").write_text("not a folder")
    code, found = examined(project)
    assert (code, found["pg_dump"]["verdict"], found["backups"]["verdict"]) == (1, "problem", "problem")
    assert found["backups"]["message"] == f"{project.folder / 'kept'} is not a folder"


def test_doctor_names_variables_that_rows_need(project: Project) -> None:
    project.write(
        BOOTSTRAP + "  - {uses: seed}\nfixtures:\n"
        "  users: {key: [id], rows: [{id: 1, password: {$password: '${ADMIN_PASSWORD}'}, name: '${ADMIN_NAME:-x}'}]}\n"
    )
    code, found = examined(project)
    assert (code, found["variables"]["verdict"]) == (0, "warning")
    assert found["variables"]["message"] == "fixture users: $ADMIN_PASSWORD is not set here"
    assert "variables" not in examined(project, ADMIN_PASSWORD="hunter2 hunter2")[1]


def test_doctor_reports_what_validate_finds(project: Project) -> None:
    project.write(BOOTSTRAP + "  - {uses: sql, name: other, with: {file: missing.sql}, check: never}\n")
    code, found = examined(project)
    assert code == 2
    assert "missing.sql cannot be read" in found["other"]["message"]
    assert found["server"]["verdict"] == "ok"


def test_doctor_for_a_command_about_one_type_of_step_examines_only_those(project: Project) -> None:
    project.write(f"{BOOTSTRAP}  - {{uses: seed}}\n  - {{uses: backup, with: {{directory: kept}}}}\n")
    assert "backup" not in examined(project, "--for", "seed")[1]
    assert "backup" in examined(project, "--for", "backup")[1]
    run = project.run("doctor", "--for", "migrate")
    assert (run.returncode, "no step" in run.stderr) == (2, True)
    run = project.run("doctor", "--for", "dance")
    assert (run.returncode, "lock break" in run.stderr) == (2, True)


def test_the_table_of_privileges_has_every_command() -> None:
    context = click.Context(group)
    paths = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        children = command.list_commands(context) if isinstance(command, click.Group) else []
        paths += [f"{name} {child}" for child in children] or [name]
    known = [*NAMES, *WITHOUT_DATABASE, "doctor", "fleet run"]  # which needs what its command does
    unknown = [path for path in paths if not any(name == path or name.startswith(f"{path} ") for name in known)]
    assert [path for path in unknown if path.split()[0] not in WITHOUT_DATABASE] == []


RUN = "01900000-0000-7000-8000-000000000001"
VALUES = f"VALUES ('{RUN}', 1, 'apply', '', '', 'far', 7)"
HELD = (
    f"UPDATE bootstrapper.lock SET run_id = '{RUN}', mode = 'direct', host = 'far', pid = 7, acquired_at = now()",
    f"INSERT INTO bootstrapper.runs (run_id, token, command, inputs, version, host, pid) {VALUES}",
)


@pytest.mark.parametrize(
    "command",
    [
        ["history"],
        ["lock", "show"],
        ["lock", "break", RUN],
        ["freeze", "a sale"],
        ["unfreeze"],
    ],
    ids=" ".join,
)
def test_a_role_with_exactly_the_grants_for_a_command_can_run_it(
    project: Project, server: Server, command: list[str]
) -> None:
    assert project.run("apply").returncode == 0
    if "break" in command:
        execute(project, *HELD)
    name = project.url.rpartition("/")[2]
    execute(project, f"CREATE ROLE {name}_bare LOGIN PASSWORD 'p'")
    try:
        bare = Project(project.folder, f"postgresql://{name}_bare:p@127.0.0.1:{server.port}/{name}")
        named = " ".join(command[:2]) if command[0] == "lock" else command[0]
        assert examined(bare, "--for", named)[0] == 6
        assert bare.run(*command).returncode == 6
        execute(project, *required(bare, named))
        assert examined(bare, "--for", named)[0] == 0
        run = bare.run(*command)
        assert run.returncode == 0, run.stderr
    finally:
        execute(project, f"DROP OWNED BY {name}_bare", f"DROP ROLE {name}_bare")


def test_doctor_of_a_standby_asks_for_the_primary(project: Project) -> None:
    project.write("version: 1\ndatabase: {url: '${DATABASE_URL}'}\nsteps: [{uses: lock}, {uses: seed}]\n")
    with peers.standby() as (server, _):
        reading = Project(project.folder, server.url())
        assert eventually(lambda: examined(reading)[1]["server"]["message"].endswith("accepts no writes"))
        code, found = examined(reading)
        assert code == 5
        assert "is a standby and accepts no writes" in found["server"]["message"]
        assert found["clock"]["verdict"] == "ok"
        assert examined(reading, "--for", "plan")[0] == 0


def test_doctor_names_the_owner_who_brings_an_older_ledger_up_to_this_version(project: Project, server: Server) -> None:
    assert project.run("apply").returncode == 0
    name = project.url.rpartition("/")[2]
    execute(project, f"CREATE ROLE {name}_other LOGIN PASSWORD 'p'")
    other = Project(project.folder, f"postgresql://{name}_other:p@127.0.0.1:{server.port}/{name}")
    try:
        execute(
            project, *required(other, "apply"), "UPDATE bootstrapper.meta SET value = '5' WHERE key = 'ledger_version'"
        )
        run = other.run("doctor", COLUMNS="200")
        assert run.returncode == 6
        assert re.search(
            r"^problem +ledger +has version 5; .*, which needs its owner 'postgres'$", run.stdout, re.MULTILINE
        )
        assert 'GRANT "postgres"' not in run.stdout
        results = json.loads(other.run("doctor", "--for", "restore", "--format", "json").stdout)["results"]
        assert [result for result in results if "membership of postgres" in result["details"]]
        assert not any('GRANT "postgres"' in statement for result in results for statement in result["statements"])
        assert project.run("doctor").returncode == 0
        execute(project, "UPDATE bootstrapper.meta SET value = '999' WHERE key = 'ledger_version'")
        assert project.run("doctor").returncode == 10
    finally:
        execute(project, f"DROP OWNED BY {name}_other", f"DROP ROLE {name}_other")


def test_doctor_of_a_frozen_database_says_why(project: Project) -> None:
    assert project.run("freeze", "a sale").returncode == 0
    code, found = examined(project)
    assert (code, found["freeze"]["verdict"], "a sale" in found["freeze"]["message"]) == (0, "warning", True)


def test_doctor_of_a_role_that_may_not_read_a_catalogue_says_so(project: Project, server: Server) -> None:
    name = project.url.rpartition("/")[2]
    execute(project, f"CREATE ROLE {name}_blind LOGIN PASSWORD 'p'", "REVOKE SELECT ON pg_stat_activity FROM PUBLIC")
    try:
        blind = Project(project.folder, f"postgresql://{name}_blind:p@127.0.0.1:{server.port}/{name}")
        code, found = examined(blind)
        assert (code, found["server"]["message"]) == (
            6,
            "cannot be examined: permission denied for view pg_stat_activity",
        )
        assert found["queue"]["verdict"] == "ok"
    finally:
        execute(project, f"DROP ROLE {name}_blind")


@pytest.mark.parametrize("steps", ["[{uses: wait}]", "[{uses: lock}, {uses: seed, with: {fixtures: [nothing]}}]"])
def test_doctor_ends_with_a_code_of_its_own_for_any_file(project: Project, steps: str) -> None:
    project.write(f"version: 1\ndatabase: {{url: '${{DATABASE_URL}}'}}\nsteps: {steps}\n")
    assert project.run("doctor").returncode in (0, 2)
    assert project.run("doctor", "--skip", "seed" if "seed" in steps else "wait").returncode in (0, 2)


def test_doctor_of_an_embedded_server_that_does_not_exist_yet_leaves_none_behind(project: Project) -> None:
    project.write(
        "version: 1\ndatabase: {url: 'embedded:here/postgres'}\nsteps: [{uses: lock}, {uses: seed}]\n"
        "fixtures: {users: {key: [id], rows: [{id: 1}]}}\n"
    )
    code, found = examined(project)
    assert (code, found["embedded"]["verdict"]) == (0, "ok")
    assert found["seed"]["message"] == "every privilege on tables that exist; not yet: users"
    assert not (project.folder / "here").exists()
