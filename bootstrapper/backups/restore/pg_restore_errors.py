"""What pg_restore complains of, told apart from the one thing that is no trouble."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

_SHOWN = 5
_ERROR = "pg_restore: error: "
_OTHER = "pg_restore: "
# Written at the head of every script, whatever the server is: https://www.postgresql.org/docs/current/app-pgdump.html
_SET = re.compile(r"Command was: SET (\w+) = [^;']*;")


@dataclass
class Complaints:
    """Fed with the lines that pg_restore prints in English (LC_ALL=C); the server's own words may be in any language.

    Attributes:
        known: The settings that the server has. A SET of any other one, written by a newer pg_restore, is passed over.
        passed_over: The names of those.
    """

    known: Collection[str]
    passed_over: list[str] = field(default_factory=list)
    _errors: list[list[str]] = field(default_factory=list)
    _is_open: bool = False

    def feed(self, line: str) -> None:
        if line.startswith(_ERROR):
            self._errors.append([line.removeprefix(_ERROR)])
            self._is_open = True
        elif line.startswith(_OTHER):
            self._is_open = False
        elif self._is_open and line.strip():
            self._errors[-1].append(line)

    @property
    def errors(self) -> list[str]:
        """All but what is passed over, each in one text."""
        self.passed_over = [name for each in self._errors if (name := self._unknown_setting(each)) is not None]
        return ["\n    ".join(each) for each in self._errors if self._unknown_setting(each) is None]

    def _unknown_setting(self, lines: list[str]) -> str | None:
        matches = [match[1] for line in lines if (match := _SET.fullmatch(line))]
        return matches[0] if matches and matches[0] not in self.known else None


def told(errors: list[str]) -> str:
    """How many there were, and the first of them."""
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    more = [f"and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
    return "\n  ".join([f"pg_restore reported {count}:", *errors[:_SHOWN], *more])
