"""Plans made by hand, one of each kind a renderer has to show."""

from __future__ import annotations

from bootstrapper.plans import (
    SQL,
    Action,
    Answer,
    Change,
    DatabaseIdentity,
    Deferred,
    Finding,
    Plan,
    PlannedStep,
    State,
    TableLock,
)

DATABASE = DatabaseIdentity("127.0.0.1:5432", "app", "18.6", "7412345678901234567", 16384)


def plan(*steps: PlannedStep, name: str = "mnfst-rag", environment: str | None = "development") -> Plan:
    return Plan(name, environment, "0" * 64, DATABASE, None, steps)


FIRST_RUN = plan(
    PlannedStep("wait", "wait", State.DONE, "the server answers"),
    PlannedStep("lock", "lock", State.PENDING, "will be taken"),
    PlannedStep(
        "backup",
        "backup",
        State.SKIPPED,
        "not needed: migrate has changes, but the database is empty",
        when=Answer.no("migrate has changes, but the database is empty"),
    ),
    PlannedStep(
        "migrate",
        "migrate",
        State.PENDING,
        "the database is at no revision, the head is 001_initial",
        check=Answer.no("the database is at no revision, the head is 001_initial"),
        changes=(Change.run("001_initial", reason="Create the schema (migrations/versions/001_initial.py)"),),
    ),
    PlannedStep(
        "seed",
        "seed",
        State.DEFERRED,
        check=Answer.unknown("table users does not exist yet"),
        deferred=(
            Deferred("table tenants", "the table does not exist yet", frozenset({Action.CREATE}), 1),
            Deferred(
                "table users",
                "the table does not exist yet",
                frozenset({Action.CREATE, Action.UPDATE}),
                2,
                unset=("SUPERADMIN_PASSWORD", "TENANT_ADMIN_PASSWORD"),
            ),
            Deferred("an answer of the check", ""),
        ),
    ),
)

WITH_FINDINGS = plan(
    PlannedStep("lock", "lock", State.PENDING, "will be taken"),
    PlannedStep(
        "migrate",
        "migrate",
        State.PENDING,
        check=Answer.no("at 001_initial, 1 pending"),
        changes=(
            Change(
                Action.RUN,
                "revision 002_email",
                "Index users by email",
                after={
                    "file": "migrations/versions/002_email.py",
                    SQL: "-- takes SHARE on users: blocks writes\nCREATE INDEX a ON users (email);\n\nSELECT 1;",
                },
            ),
        ),
        findings=(
            Finding(
                "revision 002_email",
                "CREATE INDEX users_email ON users (email) takes SHARE on users (about 1.2 million rows, 340 MB)",
                "Build it CONCURRENTLY, in an autocommit block.",
            ),
        ),
        locks=(
            TableLock("public.users", "SHARE", "revision 002_email", "migrations/versions/002_email.py:12"),
            TableLock("public.tenants", "ACCESS EXCLUSIVE", "revision 002_email", "migrations/versions/002_email.py"),
            TableLock("public.tenants", "SHARE", "revision 003_slug", "migrations/versions/003_slug.py:9"),
        ),
    ),
    PlannedStep(
        "others",
        "migrate",
        State.DONE,
        check=Answer.yes("at 4f1c"),
        findings=(Finding("index public.a_b", "is invalid", "REINDEX INDEX CONCURRENTLY public.a_b"),),
    ),
)

NOTHING_TO_DO = plan(
    PlannedStep("wait", "wait", State.DONE, "the server answers"),
    PlannedStep("lock", "lock", State.DONE, "not needed"),
    PlannedStep("migrate", "migrate", State.DONE, check=Answer.yes("the database is at 001_initial, the head")),
    PlannedStep("seed", "seed", State.DONE, "as declared"),
    PlannedStep("audit", "outer-scope", State.PENDING),
    environment=None,
)

EVERY_ACTION = plan(
    PlannedStep("lock", "lock", State.PENDING, "will be taken"),
    PlannedStep(
        "demo-users",
        "seed",
        State.PENDING,
        "the file declares what the table does not hold",
        when=Answer.yes("the environment is development"),
        check=Answer.no(),
        changes=(
            Change(
                Action.CREATE,
                "users.superadmin",
                "no row has this key",
                after={
                    "email": "admin@mnfst-rag.com",
                    "name": "Žofie Müller 管理者",
                    "password_hash": "$password of $SUPERADMIN_PASSWORD",
                    "tenant_id": None,
                    "note": "",
                },
                unset=("SUPERADMIN_PASSWORD",),
            ),
            Change.update(
                "users.editor",
                reason="2 columns differ",
                before={"role": "editor", "bio": None},
                after={"role": "administrator", "bio": "NULL"},
            ),
            Change.delete(
                "users.old",
                reason="not declared any more, and within where: all",
                before={"email": "old@example.com"},
            ),
        ),
    ),
    PlannedStep(
        "new-tenants",
        "seed",
        State.PENDING,
        changes=(Change.create("tenants.default", after={"slug": "default"}),),
    ),
)

MANY_ROWS = plan(
    PlannedStep("lock", "lock", State.PENDING, "will be taken"),
    PlannedStep(
        "seed",
        "seed",
        State.PENDING,
        changes=(
            *(Change(Action.CREATE, f"countries code={n:02}", origin="countries") for n in range(25)),
            Change(Action.CREATE, "countries: 1,200 more rows", "too many to list", count=1200, origin="countries"),
            Change(Action.UPDATE, "users id=1", before={"name": "a"}, after={"name": "b"}, origin="users"),
            Change(Action.DELETE, "countries code=99", "not declared", origin="countries"),
        ),
        last_seconds=12.34,
    ),
)

HOSTILE = plan(
    PlannedStep(
        "seed",
        "seed",
        State.PENDING,
        "a reason\nof two lines, with | pipes and <b>markup</b>, @mentions and `code`",
        check=Answer.no("| no \x1b[31m|"),
        changes=(
            Change.create(
                "tenants.``` evil\n- users.everyone",
                reason="no such row " * 12,
                after={
                    "two\nlines": "first\nsecond\ttab\r",
                    "escape": "\x1b]0;title\x07red",
                    "reordered": "user\u202egnp.exe",
                    "surrogate": "\udce9",
                    "padded": " x ",
                    "long": "x" * 5000,
                    "spaced_secret_source": "$env: A_VARIABLE_WITH_A_VERY_LONG_NAME of the machine that runs this plan",
                },
            ),
        ),
    ),
    name="a *bold* | name",
)

PLANS = {
    "first_run": FIRST_RUN,
    "nothing_to_do": NOTHING_TO_DO,
    "with_findings": WITH_FINDINGS,
    "every_action": EVERY_ACTION,
    "many_rows": MANY_ROWS,
    "hostile": HOSTILE,
}
