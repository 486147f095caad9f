"""Settings of the role that a run logs in as."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bootstrapper.errors import (
    LockTimeoutError,
)
from tests.engine.notes import locked, note
from tests.projects import TrialProject


@pytest.mark.parametrize(
    "setting",
    [
        "datestyle = 'German, DMY'",
        "datestyle = 'SQL, MDY'",
        "intervalstyle = 'iso_8601'",
        "timezone = 'Antarctica/Troll'",
        "search_path = ''",
        "search_path = 'nowhere'",
        "standard_conforming_strings = off",
        "default_transaction_isolation = 'serializable'",
        "bytea_output = 'escape'",
        "extra_float_digits = -15",
    ],
)
def test_the_settings_of_a_role_change_nothing(project: TrialProject, role: Callable[..., None], setting: str) -> None:
    project.write(
        "steps:\n  - uses: lock\n    with: {timeout: 100ms}\n  - uses: sql\n"
        '    with: {statement: "CREATE TABLE public.one (d date)"}\n'
        "    check: {all: [{once: x}, {table: public.one}]}\n"
    )
    database = project.database.rpartition("/")[2]
    role(
        "GRANT ALL ON SCHEMA public TO {role}",
        f'GRANT ALL ON DATABASE "{database}" TO {{role}}',
        f"ALTER ROLE {{role}} SET {setting}",
    )
    assert len(project.apply().applied) == 1
    assert project.apply().applied == ()
    last = project.status().last_run
    assert last is not None
    assert last.outcome == "done"
    with locked(project.database):
        project.rows("DROP TABLE public.one")
        with pytest.raises(LockTimeoutError):
            project.apply()


@pytest.mark.parametrize(
    "setting",
    [
        "statement_timeout = '200ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '100ms'",
        "idle_session_timeout = '300ms'",
        pytest.param("transaction_timeout = '300ms'", marks=pytest.mark.since(17)),
    ],
)
def test_timeouts_of_a_role_cut_nothing_short(project: TrialProject, role: Callable[..., None], setting: str) -> None:
    note(
        project,
        apply="import time; time.sleep(0.4)\n"
        "        context.connection.execute('CREATE TABLE public.note (); SELECT pg_sleep(0.4)')",
    )
    project.write(
        (project.folder / "bootstrap.yaml").read_text()
        + "  - {uses: command, with: {run: [sleep, '0.6']}, check: {once: slept}}\n"
    )
    database = project.database.rpartition("/")[2]
    role(
        "GRANT ALL ON SCHEMA public TO {role}",
        f'GRANT ALL ON DATABASE "{database}" TO {{role}}',
        f"ALTER ROLE {{role}} SET {setting}",
    )
    assert [step.name for step in project.apply().applied] == ["note", "command"]
