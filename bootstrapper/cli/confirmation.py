"""Asks for confirmation before something is lost; without a terminal and without the option, the answer is no."""

from __future__ import annotations

import sys

from bootstrapper.api import project
from bootstrapper.cli.api_request import request
from bootstrapper.cli.options import Invocation
from bootstrapper.cli.output import print_message
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import GuardError


@dataclass(frozen=True)
class Consent:
    """Options that confirm without a question."""

    yes: bool
    confirm: str | None

    def require(self, invocation: Invocation, question: str, database: str, nothing: str) -> None:
        """Raises GuardError if not confirmed, also if the given name is not that of the database."""
        if self.confirm is not None or project.is_protected(request(invocation)):
            _require_name(question, database, given=self.confirm, nothing=nothing)
        else:
            require_yes(question, yes=self.yes, nothing=nothing)


def require_yes(question: str, *, yes: bool, nothing: str) -> None:
    """Raises GuardError unless the answer is yes; `nothing` says what was left unchanged."""
    if not yes and not is_yes(question):
        raise GuardError(f"not confirmed: {nothing}", hint="Answer yes, or pass --yes.")


def is_yes(question: str) -> bool:
    return _answer(f"{question} [y/N]") in ("y", "yes")


def _require_name(question: str, name: str, *, given: str | None, nothing: str) -> None:
    """Raises GuardError unless exactly the name was given or typed."""
    answer = given if given is not None else _answer(f"{question} Type {name} to confirm:", fold=False)
    if answer != name:
        raise GuardError(f"not confirmed: {nothing}", hint=f"Pass --confirm {name}.")


def _answer(question: str, *, fold: bool = True) -> str:
    if not sys.stdin.isatty():
        return ""
    print_message(question)
    answer = sys.stdin.readline().strip()
    return answer.lower() if fold else answer
