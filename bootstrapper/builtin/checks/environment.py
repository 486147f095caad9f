"""environment: whether the run is in one of these environments."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bootstrapper.plans import Answer
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.context import Context


class EnvironmentCheck(Check[Annotated[list[str], Field(min_length=1)]]):
    """`environment: [development, staging]`."""

    key = "environment"
    pure = True
    borrows_session = False
    is_settled = True
    only_in_when = True

    def ask(self, context: Context) -> Answer:
        return self.beforehand()

    def beforehand(self) -> Answer:
        environment = self.project.environment
        if environment in self.argument:
            return Answer.yes(f"the environment is {environment}")
        here = f"the environment is {environment}" if environment else "no environment is named"
        return Answer.no(f"{here}, not {' or '.join(self.argument)}")
