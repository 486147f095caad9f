"""The manifest beside each dump: its checksum, and what it is a backup of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter
from pydantic_core import from_json

from bootstrapper.dataclass import dataclass

FORMAT_VERSION = 1
SUFFIX = ".json"
MOST_BYTES = 64 * 1024 * 1024  # a longer file is not a manifest

_CLOCK_TOLERANCE = timedelta(minutes=5)
_MAJOR = re.compile(r"[0-9]{1,3}")


def _of_this_century(value: datetime) -> datetime:
    """Rejects times near the ends of the calendar, which break date arithmetic."""
    if not 2000 <= value.year < 2100:
        raise ValueError("not the time of a backup")
    return value


# Others may write to the folder of a manifest: each value has its type, and a size that is safe to compute with.
Format = Literal["custom", "plain", "directory"]
Bytes = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, lt=2**31)]
Version = Annotated[str, Field(pattern=r"^[0-9]{1,3}([^0-9]|$)")]
Moment = Annotated[AwareDatetime, AfterValidator(_of_this_century)]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Describes a dump; written only after the dump has been read back completely.

    Attributes:
        file: The dump's name without a folder, so that both can be moved together.
        sha256: Of the stored dump, encrypted or not. Of a directory: of the lines "HASH  NAME" of its files,
            sorted by name.
        size: Bytes of the dump.
        database_size: Bytes of the database when the dump began.
        system_identifier: The server's; None if the role may not read it.
        revision: The rows of all tables named alembic_version, sorted; None if they were not readable.
        inputs: Digest of the configuration that the backup was taken under.
        run_id: The run that took it; None outside a run.
        seconds: Duration including verification; None in manifests of older versions.
        rows: The planner's row estimates by table, quoted if necessary; None for a table that was never analysed. Empty
            for an encrypted dump, which must not reveal them, and in manifests of older versions.
        encryption: "age"; None if the dump is not encrypted.
        left_out: The options that may have left something out; empty for a backup of the whole database.
        signature: HMAC-SHA256 of all other fields in hexadecimal; None if no key was set.
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
        """Raises ValueError for text that is not a manifest of this format version; ignores unknown keys."""
        raw = from_json(text)
        if not isinstance(raw, dict) or raw.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"not a manifest of format version {FORMAT_VERSION}")
        return _reader().validate_json(text, strict=True)

    @property
    def server_major(self) -> int:
        return _major(self.server_version)

    @property
    def client_major(self) -> int:
        return _major(self.client_version)

    @property
    def is_of_restore(self) -> bool:
        """Whether an in-place restore took it before it replaced the database."""
        return self.step == "restore"

    def age_seconds(self, now: datetime) -> float:
        """Returns how long ago the dump was finished; 0 if it is dated in the future."""
        return max(0.0, (now - self.created_at).total_seconds())

    def is_of_the_future(self, now: datetime) -> bool:
        """Returns whether it is dated in the future by a wrong clock, so that its age is unknown."""
        return self.created_at > now + _CLOCK_TOLERANCE

    def is_of(self, database: str, system_identifier: str | None) -> bool:
        """Returns whether it is a backup of this database; names decide if an identifier is unknown."""
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
