"""The `with:` block of a step that migrates with Alembic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from bootstrapper.config.unit_fields import Seconds
from bootstrapper.migrations.project.drivers import Name
from bootstrapper.plugin.options import StepModel

DEFAULT_TABLE = "alembic_version"

_RELATIVE = re.compile(r"(.*@)?\w*[+-]\d+")


def _absolute_target(target: str) -> str:
    """A relative target means another state in each run, so that it would never be reached."""
    if _RELATIVE.fullmatch(target) or target == "base":
        raise ValueError(f"target {target!r} is not supported; use head, heads, a revision or label@head")
    return target


def _one_state(target: str) -> str:
    if target == "heads":
        raise ValueError("name one revision, or head")
    return target


def _without_placeholder(name: str) -> str:
    """Drivers would take it for a parameter."""
    if "%" in name:
        raise ValueError("must not contain %")
    return name


def _main_option(name: str) -> str:
    if name.lower() == "script_location":
        raise ValueError("has a key of its own under `with:`")
    if name.lower() == "sqlalchemy.url":
        raise ValueError("cannot be set; the address is that of `database:`")
    return name


def _without_interpolation(value: str | float) -> str | float:
    if isinstance(value, str) and "%(here)s" in value:
        raise ValueError("%(here)s is not supported; relative paths start at `cwd`")
    return value


def _as_json(value: object) -> object:
    """Numbers in the file are decimals."""
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


MainOption = Annotated[str, AfterValidator(_main_option)]
OptionValue = Annotated[bool | int | float | str, AfterValidator(_without_interpolation)]
TableName = Annotated[str, Field(min_length=1), AfterValidator(_without_placeholder)]
Target = Annotated[str, Field(min_length=1), AfterValidator(_absolute_target)]


class MigrationSettings(StepModel):
    """How to run a project's Alembic; the defaults are those of Alembic.

    Attributes:
        config: alembic.ini or pyproject.toml; by default the one in `cwd`.
        script_location: The folder with env.py, instead of the one that `config` names.
        section: Section of alembic.ini.
        options: Main options of alembic.ini, such as version_locations or file_template. They override those of the
            file and are used literally; relative paths start at `cwd`.
        attributes: Values for config.attributes, which env.py reads.
        driver: SQLAlchemy driver for sqlalchemy.url and DATABASE_URL, such as asyncpg. If left out, DATABASE_URL stays
            as given, and sqlalchemy.url gets an installed driver that the engine of env.py supports.
        x: Arguments that env.py reads with get_x_argument().
        target: The state to reach: head, heads, a revision or label@head; or a list of these, reached one after the
            other.
        version_table: Name of the version table, if env.py sets one.
        version_table_schema: Schema of the version table, if env.py sets one.
        python: Python interpreter of the project; it needs Alembic, but not bootstrapper.
        cwd: Working directory of the project.
        env: Variables added to the project's environment.
        transaction_per_migration: False applies all pending revisions in one transaction, as Alembic does by default:
            all or none, with all their locks held until the end.
        lock_timeout: How long a statement of a revision waits for a lock, while readers queue behind it.
        ddl_retries: How often a revision is retried after a lock timeout or a deadlock.
        statement_timeout: Time limit of each statement of a revision.
        timeout: Time limit of all revisions together.
        repair: Whether to repair invalid indexes and unvalidated constraints, instead of only reporting them.
        adopt: The revision of a database that has tables but no version. Before it is recorded, the schema is compared
            with the one that the revisions up to it build in a scratch database.
        ahead: Whether a start-up and `apply --follow` accept a database that is ahead of the code, and write nothing;
            `apply` never accepts it.
    """

    config: Path | None = None
    script_location: str | None = None
    section: str = "alembic"
    options: dict[MainOption, OptionValue] = Field(default_factory=dict)
    attributes: Annotated[dict[str, JsonValue], BeforeValidator(_as_json)] = Field(default_factory=dict)
    driver: Name | None = None
    x: tuple[str, ...] = ()
    target: Target | Annotated[tuple[Target, ...], Field(min_length=1)] = "head"
    version_table: TableName = DEFAULT_TABLE
    version_table_schema: TableName | None = None
    python: str | None = None
    cwd: Path = Path()
    env: dict[str, str] = Field(default_factory=dict)
    transaction_per_migration: bool = True
    lock_timeout: Seconds = 3.0
    ddl_retries: Annotated[int, Field(ge=0, le=100)] = 5
    statement_timeout: Seconds | None = None
    timeout: Seconds | None = None
    repair: bool = False
    adopt: Annotated[Target, AfterValidator(_one_state)] | None = None
    ahead: Literal["accept", "refuse"] = "accept"

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else self.target

    def version_table_name(self) -> str:
        """Returns the name of the version table, for messages."""
        return f"{self.version_table_schema}.{self.version_table}" if self.version_table_schema else self.version_table
