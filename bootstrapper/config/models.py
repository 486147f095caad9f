"""The models of the file's outer shape; they know no step, check or value.

Whatever may hold variables or value functions that are resolved late stays here as the file writes it.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from bootstrapper.config.fleet import FleetConfig
from bootstrapper.config.schema_parts import absent, one_of, present
from bootstrapper.config.section import Section
from bootstrapper.config.unit_fields import Age, Limit, Seconds
from bootstrapper.plans import HazardName

_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_ .:-]{0,62}$"


def _name(value: str) -> str:
    if re.fullmatch(_NAME, value) is None:
        raise ValueError("not a valid name: use up to 63 letters, digits, blanks and _ . : -")
    return value


def _version(value: object) -> object:
    if value != 1 or isinstance(value, bool | Decimal):
        raise ValueError("this release reads version 1")
    return value


def _scalar(value: object) -> object:
    """Text, a number, true or false, or a value function, which is a mapping of one key."""
    is_function = isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith("$")
    if isinstance(value, list) or (isinstance(value, dict) and not is_function):
        raise ValueError("expected a single value, or one value function such as {$env: NAME}")
    return value


def _condition(value: object) -> object:
    if isinstance(value, dict | list | str):
        return value
    raise ValueError("expected a check, or a list of checks")


def _schema_name(value: str) -> str:
    if len(value.encode()) > 63 or value.lower().startswith("pg_") or not value.isprintable() or "%" in value:
        raise ValueError("not a valid schema name")
    return value


_ONE_VALUE = {"type": ["string", "number", "boolean"]}
_FUNCTION = {
    "type": "object",
    "description": "A value function, such as {$file: /run/secrets/password}.",
    "patternProperties": {r"^\$": {}},
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
}
Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": _NAME})]

Scalar = Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"anyOf": [_ONE_VALUE, _FUNCTION]})]
"""A single value as the file writes it; variables and the value function are resolved where it is used."""

CheckText = Annotated[
    Any,
    AfterValidator(_condition),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "minProperties": 1, "maxProperties": 1},
                {"type": "array", "items": {"type": ["object", "string"]}},
            ]
        }
    ),
]
"""A check as the file writes it: a key, a key with its argument, or a list, which means all."""

_ROWS = {
    "anyOf": [
        {"type": "array", "items": {"type": "object"}},
        {"type": "object", "additionalProperties": {"type": "object"}},
    ]
}


HazardText = Annotated[str, WithJsonSchema({"enum": [name.value for name in HazardName]})]
"""The name of a hazard; rules.py reports an unknown one, with the nearest name."""

_NOT_EMPTY = Field(min_length=1)
_FullText = Annotated[str, _NOT_EMPTY]


def _url_or_parts(schema: dict[str, Any]) -> None:
    """Puts into a schema what no single key of it shows."""
    parts = [key for key in schema["properties"] if key not in ("url", "direct_url")]
    schema["anyOf"] = [present(key) for key in ("url", "host", "hostaddr", "dbname", "service")]
    schema |= {"if": present("url"), "then": absent(*parts)}


class DatabaseConfig(Section):
    """The address of the database: `url`, or separate keys named like the keywords of libpq."""

    model_config = ConfigDict(json_schema_extra=_url_or_parts)

    url: Scalar = Field(
        None, description="A postgresql:// URL, or embedded:FOLDER for a server that bootstrapper starts itself."
    )
    direct_url: Scalar = Field(None, description="The address of the server itself, if url is that of a pooler.")
    host: Scalar = Field(None, description="Host name, address, or folder of a Unix socket.")
    hostaddr: Scalar = Field(None, description="IP address of the host, to skip the name lookup.")
    port: Scalar = Field(None, description="Port; 5432 if left out.")
    dbname: Scalar = Field(None, description="Name of the database.")
    user: Scalar = Field(None, description="Role to log in as.")
    password: Scalar = Field(None, description="Password of the role; may contain any character.")
    passfile: Scalar = Field(None, description="Password file, in the format that psql reads.")
    service: Scalar = Field(None, description="Section of the connection service file.")
    sslmode: Scalar = Field(None, description="Whether TLS is used and certificates are verified.")
    sslrootcert: Scalar = Field(None, description="Trusted certificates: a file, or system.")
    sslcert: Scalar = Field(None, description="The client's certificate.")
    sslkey: Scalar = Field(None, description="The client's key.")
    sslpassword: Scalar = Field(None, description="The password of the client's key.")
    channel_binding: Scalar = Field(None, description="Whether channel binding is used.")
    target_session_attrs: Scalar = Field(None, description="Which of several hosts to accept, such as read-write.")
    connect_timeout: Scalar = Field(None, description="Seconds that one connection attempt may take.")


class EnvironmentConfig(Section):
    """One environment: its overlay, and whether it is protected."""

    file: str | None = Field(None, min_length=1, description="An overlay: a file that is merged over this one.")
    protected: bool = Field(
        False,
        description="Forbids embedded servers, defaults for secrets, and plugins that other users may write; env files"
        " are ignored; its database is marked as its own.",
    )


class ChangeLimitsConfig(Section):
    """The most changes of existing things that a run may make in the step, and the hazards that it may have."""

    deletes: int | None = Field(None, ge=0, description="Of deletions.")
    updates: int | None = Field(None, ge=0, description="Of updates.")
    allow: list[HazardText] = Field(
        default_factory=list,
        description="Hazards, by the names in plans, that a protected environment permits in the step.",
    )


class RowLimitsConfig(Section):
    """The most changes of existing rows that a run may make; more of them are refused."""

    deletes: Limit | None = Field(None, description="Of deletions: a number, or a share of the declared rows, as 10%.")
    updates: Limit | None = Field(None, description="Of updates: a number, or a share of the declared rows, as 10%.")


class StepConfig(Section):
    """One entry of `steps`."""

    uses: str = Field(
        min_length=1, description="The type of the step: a built-in one, such as wait or migrate, or a plugin's."
    )
    name: Name = Field("", description="Name of the step, unique in the file; `uses` if left out.")
    with_: dict[str, Any] = Field(default_factory=dict, alias="with", description="The options of the step.")
    when: CheckText = Field(None, description="Whether the step is needed in this run; asked only before it.")
    check: CheckText = Field(
        None, description="Whether its effect is present; asked before the step and again after it."
    )
    timeout: Seconds | None = Field(None, description="Time limit of the step.")
    limits: ChangeLimitsConfig | None = Field(
        None, description="The most deletions and updates of a run, and the hazards that it may have."
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("uses"), str) and "name" not in data:
            return {**data, "name": data["uses"]}
        return data


class FixtureConfig(Section):
    """Declared rows of one table."""

    model_config = ConfigDict(
        json_schema_extra={
            **one_of("rows", "file"),
            "if": {"properties": {"mode": {"const": "sync"}}, "required": ["mode"]},
            "then": present("where"),
        }
    )

    table: str | None = Field(None, min_length=1, description="table or schema.table; the fixture's name if left out.")
    key: list[str] = Field(min_length=1, description="The natural key: columns that identify a row.")
    mode: Literal["create", "update", "sync"] = Field(
        "create",
        description="create inserts missing rows; update also updates managed columns; sync also deletes.",
    )
    create_only: list[str] = Field(
        default_factory=list, description="Columns that are written when a row is created and never compared."
    )
    defaults: dict[str, Any] = Field(default_factory=dict, description="Values for columns that a row leaves out.")
    on_deleted: Literal["recreate", "keep"] = Field(
        "recreate", description="What to do if a created row was deleted: recreate it, or keep it deleted."
    )
    on_conflict: Literal["overwrite", "keep", "fail"] = Field(
        "overwrite",
        description="What to do if a row was changed both in its declaration and in the database.",
    )
    where: str | None = Field(
        None, min_length=1, description="SQL condition for the rows that sync may delete; all for the whole table."
    )
    when: CheckText = Field(None, description="Whether the fixture is needed in this run.")
    limits: RowLimitsConfig | None = Field(None, description="The most deletions and updates of a run.")
    rows: Annotated[Any, WithJsonSchema(_ROWS)] = Field(
        None, description="A list of rows, or a mapping of labels to rows."
    )
    file: str | None = Field(None, min_length=1, description="A file with the rows, instead of `rows`.")
    null: str | None = Field(None, description="Text that means NULL in a CSV file.")
    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="Separator of the columns of a CSV file."
    )
    columns: Annotated[list[str], _NOT_EMPTY] | Annotated[dict[str, Any], _NOT_EMPTY] | None = Field(
        None,
        description="Columns of a CSV file. A list names them if the file has no header line. A mapping gives, for each"
        " column of the table, its name in the file, or a value function with {$field: NAME} in it.",
    )


class LedgerConfig(Section):
    """Where bootstrapper keeps its own tables."""

    schema_: Annotated[str, AfterValidator(_schema_name)] = Field(
        "bootstrapper", alias="schema", min_length=1, description="Schema of these tables."
    )
    grant_to: list[str] = Field(
        default_factory=list,
        description="Roles that may read these tables; takes effect with the next run that writes.",
    )
    keep_for: Annotated[Age, Field(gt=0)] | None = Field(
        None,
        description="How long runs and their steps are kept; forever if left out. Those that later runs need stay: with"
        " revisions, rows of fixtures or ids of `once`.",
    )


class LimitsConfig(Section):
    """Time limits."""

    timeout: Seconds | None = Field(None, description="For a whole run.")
    step_timeout: Seconds | None = Field(None, description="For each step that sets no timeout itself.")


class Config(Section):
    """The file `bootstrap.yaml`: the desired state of a PostgreSQL database, and the steps that bring it there."""

    version: Annotated[int, BeforeValidator(_version), WithJsonSchema({"const": 1})] = Field(
        description="Version of this format."
    )
    name: Name = Field("", description="Name of the project, as runs carry it; the folder's name if left out.")
    database: DatabaseConfig
    plugins: list[_FullText] = Field(
        default_factory=list,
        description="Folders with single-file plugins, and names of installed plugin distributions.",
    )
    environments: dict[str, EnvironmentConfig] = Field(
        default_factory=dict, description="Environments by name. If there are any, one must be chosen with -e."
    )
    steps: list[StepConfig] = Field(min_length=1, description="The steps, in the order of the run.")
    fixtures: dict[str, FixtureConfig] = Field(default_factory=dict, description="Fixtures by name: the declared rows.")
    ledger: LedgerConfig = Field(default_factory=LedgerConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    fleet: FleetConfig | None = Field(None, description="Databases or schemas that this file is applied to in turn.")
    env_files: list[_FullText] = Field(
        default_factory=list,
        description="Files of NAME=value lines; variables of the process take precedence. A trailing ? marks a file"
        " that may be missing: .env?. Ignored in a protected environment.",
    )


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of the file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
