"""What the file says about backups."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from bootstrapper.step import Project, StepModel

DEFAULT_DIRECTORY = "backups"


class BackupSettings(StepModel):
    """The `with:` block of a backup step.

    Attributes:
        directory: Where dated backups go, relative to the file that names it; created where it is missing.
        keep: How many dated backups of this database stay there; older ones are removed after a new one is verified.
            All of them if left out.
        file: One fixed file instead of a dated name: always taken anew, replaced by rename only, never removed by
            `keep`. A name that ends in .sql asks for a plain dump.
    """

    directory: str = DEFAULT_DIRECTORY
    keep: int | None = Field(default=None, ge=1)
    file: str | None = None

    def folder(self, project: Project) -> Path:
        return project.path(self.file).parent if self.file else project.path(self.directory)
