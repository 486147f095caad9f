"""Runs the linter Squawk, if it is installed, for what the own table of locks does not cover."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from bootstrapper.plans import Finding
from bootstrapper.postgres.connection.statements import split
from bootstrapper.text import one_line

# lint.py reports them with names and sizes of the existing tables.
COVERED = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-required-field",
        "adding-serial-primary-key-field",
        "ban-drop-column",
        "ban-drop-database",
        "ban-drop-domain",
        "ban-drop-extension",
        "ban-drop-function",
        "ban-drop-index",
        "ban-drop-schema",
        "ban-drop-sequence",
        "ban-drop-table",
        "ban-drop-type",
        "ban-drop-view",
        "ban-set-schema",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "renaming-column",
        "renaming-object",
        "renaming-table",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
        "require-concurrent-reindex",
    }
)
# How a column is declared does not affect the safety of a live database.
STYLE = frozenset(
    {
        "ban-char-field",
        "prefer-bigint-over-int",
        "prefer-bigint-over-smallint",
        "prefer-identity",
        "prefer-repack",
        "prefer-text-field",
        "prefer-timestamp-tz",
        "require-enum-value-ordering",
        "require-table-schema",
        "unused-ignore",
    }
)
# Alembic writes BEGIN and COMMIT and runs a revision only once; timeouts are set in the session.
RUNNER = frozenset(
    {
        "ban-uncommitted-transaction",
        "prefer-robust-stmts",
        "require-lock-timeout",
        "require-statement-timeout",
        "require-timeout-settings",
        "transaction-nesting",
    }
)
# Filtered here and not by --exclude, which fails on a rule that an older Squawk does not have.
LEFT_OUT = COVERED | STYLE | RUNNER

LIMIT_SECONDS = 20.0

_LONGEST_TEXT = 300


class _NoAnswer(Exception):  # noqa: N818 - becomes a finding
    """Squawk was started and gave no readable answer."""


def program() -> Path | None:
    """Returns Squawk beside the interpreter, otherwise on PATH."""
    beside = Path(sys.executable).with_name("squawk")
    found = shutil.which(beside) or shutil.which("squawk")
    return Path(found) if found else None


def lint(
    sql_by_revision: Mapping[str, str],
    *,
    server_major: int,
    folder: Path | None = None,
    limit_seconds: float = LIMIT_SECONDS,
) -> list[Finding]:
    """Returns the findings of Squawk about each revision; none if it is not installed.

    Its first failure is a finding, and the last one: the next revision would fail in the same way.

    Args:
        folder: Where the search for a project's .squawk.toml starts; None for the current folder.
        limit_seconds: Time limit for each revision.
    """
    squawk = program()
    findings: list[Finding] = []
    for revision, text in sql_by_revision.items() if squawk else ():
        target = f"revision {revision}"
        try:
            said = _ask([str(squawk), *_options(text, server_major)], text, folder, limit_seconds)
            findings += [finding for item in said for finding in _finding(target, item)]
        except _NoAnswer as error:
            return [*findings, Finding(target, f"squawk did not check it: {_short(str(error))}")]
    return findings


def _options(text: str, server_major: int) -> Iterable[str]:
    yield from ("--reporter", "json", "--pg-version", str(server_major), "--stdin-filepath", "revision.sql")
    if not any(statement.controls_transactions for statement in split(text)):
        yield "--assume-in-transaction"


def _ask(command: list[str], text: str, folder: Path | None, limit_seconds: float) -> list[object]:
    """Exit code 0 means no findings; 1 means findings or a failure."""
    data, environment = text.encode(errors="replace"), {"PATH": os.defpath}
    try:
        ended = subprocess.run(
            command, input=data, capture_output=True, cwd=folder, env=environment, timeout=limit_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _NoAnswer(f"it took longer than {limit_seconds:g} s") from error
    except OSError as error:
        raise _NoAnswer(f"it cannot be started: {error.strerror}") from error
    try:
        said = json.loads(ended.stdout)
    except ValueError as error:
        lines = ended.stderr.decode(errors="replace").strip().splitlines() or ["its output is not JSON"]
        raise _NoAnswer(f"it ended with exit code {ended.returncode}: {lines[0]}") from error
    if not isinstance(said, list) or ended.returncode not in (0, 1):
        raise _NoAnswer(f"it ended with exit code {ended.returncode} and output of an unknown format")
    return said


def _finding(target: str, item: object) -> list[Finding]:
    match item:
        case {"rule_name": str(rule), "message": str(message), "line": int(line), **rest}:
            if rule in LEFT_OUT:
                return []
            text, remedy = f"squawk {rule}, line {line + 1}: {message}", rest.get("help")
            return [Finding(target, _short(text), _short(remedy) if isinstance(remedy, str) else "")]
    raise _NoAnswer("its output has an unknown format")


def _short(text: str) -> str:
    line = one_line(" ".join(text.split()))
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT].rstrip()} ..."
