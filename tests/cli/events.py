"""Events of whole runs, as a run of the sample file would emit them."""

from __future__ import annotations

from bootstrapper.events import (
    AttemptFailed,
    GateOpened,
    LockAwaited,
    RunFinished,
    RunStarted,
    ScopeEntered,
    ScopeLeft,
    StepApplied,
    StepBlocked,
    StepFailed,
    StepProgressed,
    StepReported,
    StepStarted,
    StepUnchanged,
    Warned,
)
from bootstrapper.plans import Answer, Change, PlannedStep, State

MIGRATE = PlannedStep("migrate", "migrate", State.PENDING, changes=(Change.run("001_initial"),))
SEED = PlannedStep(
    "seed",
    "seed",
    State.PENDING,
    changes=(Change.create("tenants.default"), Change.create("users.admin"), Change.update("users.editor")),
)
BACKUP = PlannedStep("backup", "backup", State.SKIPPED, "not needed: it is empty", when=Answer.no("it is empty"))
AUDIT = PlannedStep("audit", "sql", State.DONE, "as declared")

STARTED = RunStarted("apply", "127.0.0.1:5432", "app", "development")

RUN = (
    STARTED,
    AttemptFailed("wait", 1, "connection refused", 0.25),
    GateOpened("wait", 1.5, "PostgreSQL 18.6"),
    LockAwaited("lock", "held by run 0198 (host web-1, process 7)"),
    ScopeEntered("lock", "direct"),
    StepUnchanged("backup", BACKUP),
    StepStarted("migrate", "migrate", 1),
    StepProgressed("migrate", 1, 1, "revisions"),
    StepReported("migrate", "Running upgrade  -> 001_initial\x1b[0m"),
    StepBlocked("migrate", "process 7 of role app: SELECT 1", 7, "app", statement="SELECT 1"),
    StepApplied("migrate", MIGRATE, 0.35),
    Warned("the seed file is old\nreally", "Have a look at it."),
    StepStarted("seed", "seed", 3),
    StepApplied("seed", SEED, 2.0),
    StepUnchanged("audit", AUDIT),
    ScopeLeft("lock"),
    RunFinished("done", 4.2, 2),
)

NOTHING_TO_DO = (STARTED, GateOpened("wait", 0.012), StepUnchanged("audit", AUDIT), RunFinished("unchanged", 0.1))

FAILED = (
    STARTED,
    StepStarted("migrate", "migrate", 1),
    StepReported("migrate", "syntax error at line 3"),
    StepFailed("migrate", "the worker failed", 0.2),
    RunFinished("failed", 0.3),
)
