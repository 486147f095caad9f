"""The model of `fleet`: the targets that a file is applied to, and in which order and number."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from bootstrapper.config.schema_parts import one_of
from bootstrapper.config.section import Section
from bootstrapper.config.unit_fields import Limit, Seconds


def _plain(value: object) -> object:
    if isinstance(value, dict | list):
        raise ValueError("expected text, a number, true or false")
    return value


def _share(value: int | Fraction) -> Fraction:
    if not isinstance(value, Fraction):
        raise ValueError("expected a share, such as 10%")
    return value


_PLAIN = {"type": ["string", "number", "boolean", "null"]}
_PERCENT = {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3})?\s*%$", "examples": ["10%"]}

Plain = Annotated[Any, AfterValidator(_plain), WithJsonSchema(_PLAIN)]
Share = Annotated[Limit, AfterValidator(_share), WithJsonSchema(_PERCENT)]
_FullText = Annotated[str, Field(min_length=1)]


class TargetsConfig(Section):
    """Where the targets are listed, if not in the file itself; asked at the beginning and at the end of each run."""

    model_config = ConfigDict(json_schema_extra=one_of("sql", "command", "file"))

    sql: str | None = Field(
        None, min_length=1, description="A query on the database of `url`: a row for each target, a column a variable."
    )
    url: str | None = Field(None, min_length=1, description="The database that `sql` asks.")
    command: Annotated[list[_FullText], Field(min_length=1)] | None = Field(
        None, description="A program and its arguments, which prints CSV with a header, or a JSON list of objects."
    )
    file: str | None = Field(None, min_length=1, description="A file with CSV or JSON, as of `command`.")


class WaveConfig(Section):
    """Targets that are done together. A target belongs to the first wave that takes it."""

    name: _FullText = Field(description="Name of the wave, unique in the file.")
    where: dict[str, Plain | list[Plain]] | None = Field(
        None, min_length=1, description="Takes targets whose variables have these values, or one of a list of values."
    )
    first: int | None = Field(None, ge=1, description="Takes this many of those that are left.")
    share: Share | None = Field(None, description="Takes a share of all targets, rounded up, of those that are left.")
    soak: Seconds | None = Field(None, description="How long to wait after the wave.")
    confirm: bool = Field(False, description="Whether to ask before the next wave begins.")


class FleetConfig(Section):
    """Many databases, or schemas, for one file. Their variables stand in it as `${target.NAME}`."""

    targets: list[dict[str, Plain]] | TargetsConfig = Field(
        description="A list of mappings, each with a `name` and variables; or where that list is."
    )
    waves: list[WaveConfig] = Field(
        default_factory=list, description="Waves, one after the other; targets that none takes are a last wave, `rest`."
    )
    parallel: int | None = Field(
        None, ge=1, le=1024, description="Targets done at the same time; the number of processors if left out."
    )
    per_server: int | None = Field(None, ge=1, description="Targets done at the same time on one server.")
    budget: Limit = Field(
        0,
        description="Failed targets that a wave tolerates, as a number or a share of it. With more of them nothing new"
        " is started, and what runs is finished.",
    )
    retry: int = Field(
        3, ge=0, le=100, description="How often a target is tried again whose database or lock was not available."
    )
