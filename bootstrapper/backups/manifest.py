"""What stands beside a backup and makes it one: how to recognise its content, and what it is a backup of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self
from uuid import UUID

FORMAT_VERSION = 1
SUFFIX = ".json"

Format = Literal["custom", "plain", "directory"]


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
    """

    file: str
    format: Format
    sha256: str
    size: int
    database_size: int
    database: str
    server: str
    system_identifier: str | None
    server_version: str
    client_version: str
    revision: tuple[str, ...] | None
    inputs: str
    step: str
    run_id: UUID | None
    created_at: datetime
    seconds: float | None = None
    rows: Mapping[str, int | None] = field(default_factory=dict)
    encryption: str | None = None
    left_out: tuple[str, ...] = ()

    def to_json(self) -> str:
        content = {"format_version": FORMAT_VERSION, **asdict(self)}
        return json.dumps(content, default=str, ensure_ascii=False, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError where the text is no manifest of this format version; ignores keys it does not know."""
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"not a backup's manifest of format version {FORMAT_VERSION}")
        try:
            return cls(**_fields(raw))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a backup's manifest: {error}") from error

    @property
    def is_of_restore(self) -> bool:
        """Whether an in-place restore took it of what it was to replace."""
        return self.step == "restore"

    def is_of_the_future(self, now: datetime) -> bool:
        """Whether a clock was wrong when it was dated, so that nobody knows its age."""
        return self.created_at > now + _PATIENCE

    def is_of(self, database: str, system_identifier: str | None) -> bool:
        """Whether it is a backup of this database; names decide where a server does not tell who it is."""
        known = self.system_identifier and system_identifier
        return self.database == database and (not known or self.system_identifier == system_identifier)


_PATIENCE = timedelta(minutes=5)


def _fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    since_then = ("seconds", "rows", "encryption", "left_out")
    fields = {name: raw[name] for name in Manifest.__dataclass_fields__ if name in raw or name not in since_then}
    fields["revision"] = None if raw["revision"] is None else tuple(raw["revision"])
    fields["run_id"] = UUID(raw["run_id"]) if raw["run_id"] else None
    fields["left_out"] = tuple(raw.get("left_out", ()))
    fields["created_at"] = datetime.fromisoformat(raw["created_at"])
    if fields["created_at"].tzinfo is None:
        raise ValueError("not a backup's manifest: created_at has no time zone")
    if not isinstance(raw["size"], int) or not isinstance(raw["sha256"], str):
        raise ValueError("not a backup's manifest: size is no number, or sha256 no text")
    return fields


def manifest_path(dump: Path) -> Path:
    return dump.with_name(dump.name + SUFFIX)
