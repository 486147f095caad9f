"""The `with:` block of a backup step."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from bootstrapper.backups.stores.manifest import Format
from bootstrapper.backups.take.pg_dump_options import refuse_argument
from bootstrapper.config.schema_parts import present
from bootstrapper.config.unit_fields import Age
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.project import Project

DEFAULT_DIRECTORY = "backups"
DEFAULT_REUSE_SECONDS = 15 * 60.0
ENCRYPTED_SUFFIX = ".age"

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|[a-z0-9]+::", re.IGNORECASE)
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}|(ssh-ed25519|ssh-rsa) [A-Za-z0-9+/=]+( .*)?")


_HAS_RECIPIENTS: dict[str, Any] = {
    "anyOf": [
        present("recipients_file"),
        {"required": ["recipients"], "properties": {"recipients": {"type": "array", "minItems": 1}}},
    ]
}


def is_url(text: str) -> bool:
    """Returns whether it is a URL for fsspec rather than a local folder."""
    return _URL.match(text) is not None and not text.startswith(("file://", "local://"))


def _public_key(text: str) -> str:
    if not _RECIPIENT.fullmatch(text):
        raise ValueError("not a public key of age, which begins with age1, ssh-ed25519 or ssh-rsa")
    return text


def _local(text: str) -> str:
    if is_url(text):
        raise ValueError("not a local file; use `directory` for a URL")
    return text


class Encryption(StepModel):
    """The recipients that backups are encrypted for with age.

    Attributes:
        recipients: Public keys, age1... or SSH keys. The owner of any of them can read the backups.
        recipients_file: A file with one public key per line; # starts a comment.
        identity_file: The private key of a recipient. With it, a backup is also decrypted and read back before it gets
            its name; without it, only the input of the encryption is read back.
    """

    model_config = ConfigDict(json_schema_extra=_HAS_RECIPIENTS)

    recipients: tuple[Annotated[str, AfterValidator(_public_key)], ...] = ()
    recipients_file: str | None = None
    identity_file: str | None = None

    @model_validator(mode="after")
    def _has_recipients(self) -> Self:
        if not self.recipients and self.recipients_file is None:
            raise ValueError("needs `recipients` or `recipients_file`")
        return self


class BackupSettings(StepModel):
    """The `with:` block of a backup step.

    Attributes:
        directory: Folder of dated backups, relative to the file that names it; created if missing. Or an fsspec URL,
            such as s3://bucket/prefix, with the extra `remote`.
        storage: Options of the file system behind a URL, such as {endpoint_url: ...}; secrets by value functions.
        keep: Number of dated backups of this database to keep; older ones are removed after a new one is verified.
        keep_for: How long dated backups are kept. Together with `keep`, a backup stays if either of them keeps it; the
            newest always stays. All backups stay if both are left out.
        reuse_for: How long the backup of an unfinished run replaces a new one, if configuration and revision are the
            same; 0 for never. It lacks what the application wrote since.
        file: A fixed local file instead of a dated name: taken again by each run, replaced by rename only, never
            removed by `keep`. A name that ends in .sql means a plain dump.
        overwrite: Whether `file` may replace a file that is not a backup with a manifest.
        format: custom, plain, or directory, which several jobs can write at once.
        jobs: Number of tables dumped at once, each on its own connection; only with format directory.
        compress: A level from 0 to 9, none, or a method of pg_dump 16 and newer, such as lz4 or zstd:3. Level 1 if left
            out: nearly as small as the highest level and much faster. Plain dumps are not compressed.
        schemas: pg_dump patterns; only these schemas are dumped.
        tables: pg_dump patterns; only these tables are dumped.
        exclude: pg_dump patterns for tables to leave out.
        extra_args: More pg_dump options, each written as --name or --name=value.
        pg_dump: The program to use instead of the one that is found; pg_restore is taken from the same folder.
        encrypt: Recipients for encryption with age: {recipients: [age1...]}, or {recipients_file: FILE} with one public
            key per line. With {identity_file: FILE}, a private key, each backup is also decrypted and read back. Needs
            the extra `encryption`.
    """

    directory: Annotated[str, Field(min_length=1)] = DEFAULT_DIRECTORY
    storage: dict[str, bool | int | str] = Field(default_factory=dict)
    keep: int | None = Field(default=None, ge=1)
    keep_for: Annotated[Age, Field(gt=0)] | None = None
    reuse_for: Age | Literal[0] = DEFAULT_REUSE_SECONDS
    file: Annotated[str, AfterValidator(_local)] | None = None
    overwrite: bool = False
    format: Format | None = None
    jobs: int | None = Field(default=None, ge=1, le=64)
    compress: (
        Annotated[int, Field(ge=0, le=9)]
        | Annotated[str, Field(pattern=r"^([0-9]|none|(gzip|lz4|zstd)(:[A-Za-z0-9=,]+)?)$")]
        | None
    ) = None
    schemas: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    tables: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    exclude: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    extra_args: tuple[Annotated[str, AfterValidator(refuse_argument)], ...] = ()
    pg_dump: str | None = None
    encrypt: Encryption | None = None

    @field_validator("format")
    @classmethod
    def _fits_the_name(cls, value: str | None, info: ValidationInfo) -> str | None:
        file = info.data.get("file")
        if file is not None and value == "directory":
            raise ValueError("`file` cannot be in directory format: a rename does not replace a directory")
        if file is not None and value == "custom" and _is_plain(file):
            raise ValueError("a name that ends in .sql is a plain dump")
        if value == "directory" and is_url(info.data.get("directory", "")):
            raise ValueError("format directory cannot be streamed to a URL")
        return value

    @field_validator("reuse_for", mode="before")
    @classmethod
    def _is_not_switched_off(cls, value: object) -> object:
        """Rejects false, which equals 0."""
        if isinstance(value, bool):
            raise ValueError("not a time; write it as 15m, or 0 for never")
        return value

    @field_validator("jobs")
    @classmethod
    def _jobs_need_a_directory(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("format") != "directory":
            raise ValueError("needs `format: directory`")
        return value

    @field_validator("compress")
    @classmethod
    def _plain_stays_plain(cls, value: int | str | None, info: ValidationInfo) -> int | str | None:
        if value is not None and info.data.get("format") == "plain":
            raise ValueError("plain dumps are not compressed")
        return value

    @field_validator("encrypt")
    @classmethod
    def _encrypts_one_file(cls, value: Encryption | None, info: ValidationInfo) -> Encryption | None:
        if value is not None and info.data.get("format") == "directory":
            raise ValueError("format directory cannot be encrypted; use custom")
        return value

    @property
    def is_remote(self) -> bool:
        return self.file is None and is_url(self.directory)

    def folder(self, project: Project) -> Path:
        """Returns the folder of local backups; not for `is_remote`."""
        if self.file is not None:
            return project.path(self.file).parent
        return project.path(self.directory.removeprefix("file://").removeprefix("local://"))

    def format_of(self, name: str) -> Format:
        """Returns the format of a file: its name decides, then `format`."""
        if _is_plain(name):
            return "plain"
        return "plain" if self.format == "plain" else "custom"

    @property
    def dated_format(self) -> Format:
        return self.format or "custom"

    @property
    def dated_suffix(self) -> str:
        """The suffix of a dated name."""
        kinds: dict[Format, str] = {"custom": ".dump", "plain": ".sql", "directory": ".dir"}
        return kinds[self.dated_format] + (ENCRYPTED_SUFFIX if self.encrypt else "")


def _is_plain(name: str) -> bool:
    return PurePath(name.removesuffix(ENCRYPTED_SUFFIX)).suffix == ".sql"
