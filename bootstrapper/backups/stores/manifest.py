"""What stands beside a backup and makes it one: how to recognise its content, and what it is a backup of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter
from pydantic_core import from_json

FORMAT_VERSION = 1
SUFFIX = ".json"
MOST_BYTES = 64 * 1024 * 1024  # a file that is longer is not a manifest

_PATIENCE = timedelta(minutes=5)
_MAJOR = re.compile(r"[0-9]{1,3}")


def _of_this_century(value: datetime) -> datetime:
    """Near the ends of the calendar times cannot be computed with."""
    if not 2000 <= value.year < 2100:
        raise ValueError("not the time of a backup")
    return value


# A manifest lies where others may write: each value is of its type, and of a size that can be computed with.
Format = Literal["custom", "plain", "directory"]
Bytes = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, lt=2**31)]
Version = Annotated[str, Field(pattern=r"^[0-9]{1,3}([^0-9]|$)")]
Moment = Annotated[AwareDatetime, AfterValidator(_of_this_century)]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Written only after the dump was read back whole.

    Attributes:
        file: The dump's name, without a folder: both may be moved together.
        sha256: Of the dump as it lies there, encrypted or not. Of a directory: of the lines "HASH  NAME" of its files,
            sorted by name.
        size: Bytes of the dump.
        database_size: Bytes of the database when the dump was begun.
        system_identifier: The server's, None where the role could not ask.
        revision: The rows of all tables named alembic_version, sorted; None where they could not be read.
        inputs: Digest of the configuration that the backup was taken under.
        run_id: None for a backup taken outside a run.
        seconds: How long it took, verification included; None in those of older versions.
        rows: By table, quoted where it needs that, what the planner took for its number of rows, None where nobody had
            counted; empty where the dump is encrypted, which is to tell nothing, and in manifests of older versions.
        encryption: "age", None where the dump is not encrypted.
        left_out: The options that may have left something out; empty for the whole database.
        signature: HMAC-SHA256 of all the others as hexadecimal text; None where no key was set.
    """

    file: str
    format: Format
    sha256: str
    size: Bytes
    database_size: Bytes
    database: str
    server: str
    system_identifier: str | None
    server_version: Version
    client_version: Version
    revision: tuple[str, ...] | None
    inputs: str
    step: str
    run_id: UUID | None
    created_at: Moment
    seconds: Seconds | None = None
    rows: Mapping[str, Bytes | None] = field(default_factory=dict)
    encryption: str | None = None
    left_out: tuple[str, ...] = ()
    signature: str | None = None

    def to_json(self) -> str:
        content = {"format_version": FORMAT_VERSION, **asdict(self)}
        return json.dumps(content, default=str, ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Raises ValueError where the text is not a manifest of this format version; ignores keys it does not know."""
        raw = from_json(text)
        if not isinstance(raw, dict) or raw.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"not a backup's manifest of format version {FORMAT_VERSION}")
        return _reader().validate_json(text, strict=True)

    @property
    def server_major(self) -> int:
        return _major(self.server_version)

    @property
    def client_major(self) -> int:
        return _major(self.client_version)

    @property
    def is_of_restore(self) -> bool:
        """Whether an in-place restore took it of what it was to replace."""
        return self.step == "restore"

    def age_seconds(self, now: datetime) -> float:
        """How long ago the dump was finished; 0 where the clock that dated it is ahead."""
        return max(0.0, (now - self.created_at).total_seconds())

    def is_of_the_future(self, now: datetime) -> bool:
        """Whether a clock was wrong when it was dated, so that nobody knows its age."""
        return self.created_at > now + _PATIENCE

    def is_of(self, database: str, system_identifier: str | None) -> bool:
        """Whether it is a backup of this database; names decide where a server does not tell who it is."""
        known = self.system_identifier and system_identifier
        return self.database == database and (not known or self.system_identifier == system_identifier)


def _major(version: str) -> int:
    found = _MAJOR.match(version)
    assert found is not None
    return int(found[0])


@cache
def _reader() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def manifest_path(dump: Path) -> Path:
    return dump.with_name(dump.name + SUFFIX)
