"""The base of the models of the file's outer shape."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the file: unknown keys are errors, instances do not change. Built when it is first used."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
