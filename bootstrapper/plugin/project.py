"""The configuration from the file and the command line, constant during a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootstrapper.config.run_cache import RunCache
from bootstrapper.dataclass import dataclass
from bootstrapper.plans import Answer
from bootstrapper.postgres.connection.target import Target
from bootstrapper.postgres.ledger.ledger import LedgerNames

if TYPE_CHECKING:
    from bootstrapper.config.document import Document
    from bootstrapper.config.models import FixtureConfig
    from bootstrapper.plugin.run_context import RunContext
    from bootstrapper.plugin.step import Unit
    from bootstrapper.plugin.value import Value

_ENGINE = {"for": "the engine"}
"""Marks fields that are not part of the contract."""


@dataclass(frozen=True)
class Declaration:
    """What the file says of one step around its validated options.

    Attributes:
        written: The `with:` block as the file writes it, its variables unresolved: the form that may be shown.
        has_when: Whether the step has a `when`, which may keep it from running.
        has_check: Whether the step has a `check`, which then decides instead of `changes`.
    """

    written: Mapping[str, Any] = field(default_factory=dict)
    has_when: bool = False
    has_check: bool = False


@dataclass(frozen=True, kw_only=True)
class Project:
    """The configuration from the file and the command line; constant during a run.

    Attributes:
        name: The project's name in the file.
        command: Name of the command, as the ledger records it.
        directory: The file's folder; relative paths start here.
        environment: The chosen environment; None if the file declares none.
        protected: Whether that environment is protected.
        variables: Environment variables for values: those of the process, then those of the env files.
        validates: Whether the command only validates the file, so that no value function starts a program.
        document: The file. This and all that follows is for the engine, and may change.
        inputs: SHA-256 over all inputs except the database's address.
        plan: The digest of the saved plan that the run applies; None without one.
        declared: Returns digests of the steps and fixtures of this run, by which the ledger tells older declarations
            from newer ones.
        default_secrets: Whether a default may stand in for a secret variable (development only).
        allowed: Hazards that the command allows, beside those that steps allow in the file.
        protected_environments: Names of the protected environments of the file.
        ignores_freeze: Whether the run goes on in a frozen database: it only takes a backup, or restores one.
        declarations: What the file says of each of its steps, by the step's name.
        fixture_conditions: The `when` of each fixture that has one, by the fixture's name.
        cache: Results that stay valid for the whole run and take long to find out.
    """

    name: str
    command: str
    directory: Path
    environment: str | None
    protected: bool
    variables: Mapping[str, str]
    validates: bool = False

    document: Document = field(metadata=_ENGINE)
    target: Target = field(metadata=_ENGINE)
    ledger: LedgerNames = field(metadata=_ENGINE)
    inputs: str = field(metadata=_ENGINE)
    default_secrets: bool = field(metadata=_ENGINE)
    allowed: Collection[str] = field(default=(), metadata=_ENGINE)
    protected_environments: Collection[str] = field(default=(), metadata=_ENGINE)
    plan: str | None = field(default=None, metadata=_ENGINE)
    ignores_freeze: bool = field(default=False, metadata=_ENGINE)
    fixtures: Mapping[str, FixtureConfig] = field(default_factory=dict, metadata=_ENGINE)
    values: Mapping[str, Value] = field(default_factory=dict, metadata=_ENGINE)
    steps: Mapping[str, Unit] = field(default_factory=dict, metadata=_ENGINE)
    declarations: Mapping[str, Declaration] = field(default_factory=dict, metadata=_ENGINE)
    fixture_conditions: Mapping[str, Callable[[RunContext], Answer]] = field(default_factory=dict, metadata=_ENGINE)
    declared: Callable[[], Mapping[str, str]] = field(default=dict, repr=False, compare=False, metadata=_ENGINE)
    cache: RunCache = field(default_factory=RunCache, repr=False, compare=False, metadata=_ENGINE)

    @property
    def written(self) -> str:
        """The content of the file with its variables unresolved: the form that may be shown."""
        return repr(self.document.data)

    def path(self, text: str | Path) -> Path:
        """Returns an absolute path; a relative one starts at the file's folder."""
        return (self.directory / text).absolute()
