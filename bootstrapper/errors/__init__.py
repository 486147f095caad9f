"""Every error of bootstrapper, with its exit code.

    BootstrapperError
    ├── ConfigError                      2
    │   ├── InvalidFileError                every problem of a file at once, each with its place
    │   ├── UnknownEnvironmentError         no environment chosen, or one that the file does not declare
    │   ├── UnsetVariablesError             variables that the pending changes need
    │   ├── FleetError                      the targets cannot be read, or a worker has another file
    │   ├── UsageError                      contradictory arguments
    │   └── PluginError
    ├── StepError                        1
    │   ├── StepFailedError                 the server or a program refused
    │   ├── PluginFailedError               a plugin raised an error, or returned something else than it must
    │   ├── NotConvergedError               applied, but the check still fails
    │   ├── UndecidedError                  a `when` without an answer at the step's turn
    │   ├── CheckFailedError                the question itself is wrong
    │   ├── BlockedError              7  retryable: another session held a lock
    │   ├── MigrationError
    │   ├── FixtureError
    │   ├── BackupError
    │   ├── ClientToolsError                no pg_dump or psql that fits the server
    │   └── CommandFailedError
    ├── UnreachableError                 5  retryable
    ├── RefusedError                     6  credentials, permission, no such database, TLS
    ├── LockError                        7
    │   ├── LockTimeoutError                retryable
    │   ├── LockBusyError                   the holder has an open transaction
    │   └── FencedOffError                  retryable: another run holds the lock now
    ├── CommitUnknownError               5  connection lost at COMMIT
    ├── EmbeddedServerError              5
    │   └── UnusableServerError          6  no such package, not the owner, a read-only disk
    ├── LedgerDamagedError               1
    ├── GuardError                       9
    ├── HazardError                      9  a hazard in a protected environment that is not allowed
    ├── FrozenError                      9
    ├── ForeignDatabaseError             9  of another environment, or on another server than before
    ├── AheadError                       10
    ├── PendingError                     4  other runs did not reach the declared state in time
    ├── UnplannedChangeError             8  a change at a step's turn that the plan did not show
    ├── StalePlanError                   8  a saved plan does not fit the database or the configuration any more
    └── RunInterrupted                   130
        └── RunTerminated                143

Only leaves are raised. Each one takes facts, keeps them as attributes and builds its own message; `hint` says in one
imperative sentence what to do. Each has a code that stays: BOOT-, its exit code and two digits; what the codes mean
is in `cli/explanations.yaml`. Imports nothing of the package.
"""

from bootstrapper.errors._base import BootstrapperError, ExitCode, Problem, Source, with_sqlstate
from bootstrapper.errors._config import (
    ConfigError,
    FleetError,
    InvalidFileError,
    PluginError,
    UnknownEnvironmentError,
    UnsetVariablesError,
    UsageError,
)
from bootstrapper.errors._run import (
    AheadError,
    ForeignDatabaseError,
    FrozenError,
    GuardError,
    HazardError,
    LedgerDamagedError,
    PendingError,
    RunInterrupted,
    RunTerminated,
    StalePlanError,
    UnplannedChangeError,
)
from bootstrapper.errors._server import (
    CommitUnknownError,
    EmbeddedServerError,
    FencedOffError,
    LockBusyError,
    LockError,
    LockTimeoutError,
    RefusedError,
    UnreachableError,
    UnusableServerError,
)
from bootstrapper.errors._steps import (
    BackupError,
    BlockedError,
    CheckFailedError,
    ClientToolsError,
    CommandFailedError,
    FixtureError,
    MigrationError,
    NotConvergedError,
    PluginFailedError,
    StepError,
    StepFailedError,
    UndecidedError,
)

__all__ = [
    "AheadError",
    "BackupError",
    "BlockedError",
    "BootstrapperError",
    "CheckFailedError",
    "ClientToolsError",
    "CommandFailedError",
    "CommitUnknownError",
    "ConfigError",
    "EmbeddedServerError",
    "ExitCode",
    "FencedOffError",
    "FixtureError",
    "FleetError",
    "ForeignDatabaseError",
    "FrozenError",
    "GuardError",
    "HazardError",
    "InvalidFileError",
    "LedgerDamagedError",
    "LockBusyError",
    "LockError",
    "LockTimeoutError",
    "MigrationError",
    "NotConvergedError",
    "PendingError",
    "PluginError",
    "PluginFailedError",
    "Problem",
    "RefusedError",
    "RunInterrupted",
    "RunTerminated",
    "Source",
    "StalePlanError",
    "StepError",
    "StepFailedError",
    "UndecidedError",
    "UnknownEnvironmentError",
    "UnplannedChangeError",
    "UnreachableError",
    "UnsetVariablesError",
    "UnusableServerError",
    "UsageError",
    "with_sqlstate",
]
