"""Tests that every error has a code, and that `explain` says what each code means."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrapper import errors
from bootstrapper.cli import error_output
from bootstrapper.cli.explain import explanations
from bootstrapper.errors import BootstrapperError
from bootstrapper.masking import Masker
from tests.cli.project import Project

PACKAGE = Path(errors.__file__).parents[1]
GROUPS = ("BootstrapperError", "ConfigError", "StepError", "LockError")


def kinds(kind: type[BootstrapperError] = BootstrapperError) -> Iterator[type[BootstrapperError]]:
    """Yields the errors that are raised, which are all but those that only group others."""
    if kind.__name__ not in GROUPS:
        yield kind
    for each in kind.__subclasses__():
        if each.__module__.startswith("bootstrapper."):
            yield from kinds(each)


def test_every_error_has_a_code_of_its_own_that_is_explained() -> None:
    codes = [kind.__dict__.get("code") for kind in kinds()]
    assert sorted(codes) == sorted(explanations())


def test_a_code_begins_with_the_exit_code() -> None:
    assert [kind for kind in kinds() if not re.fullmatch(rf"BOOT-{kind.exit_code:d}\d\d", kind.code)] == []


def test_no_error_is_raised_that_only_groups_others() -> None:
    raised = re.compile(rf"\braise ({'|'.join(GROUPS)})\(")
    assert [path for path in PACKAGE.rglob("*.py") if raised.search(path.read_text(encoding="utf-8"))] == []


def test_no_message_names_a_file_of_the_repository() -> None:
    named = re.compile(r"docs/[\w/-]+\.md")
    texts = [path for path in PACKAGE.rglob("*.py") if path.name not in ("hazards.py", "privileges.py")]
    texts += PACKAGE.rglob("*.sql")
    assert [path for path in texts if named.search(path.read_text(encoding="utf-8"))] == []


def test_every_explanation_leads_to_a_page() -> None:
    docs = Path(__file__).parents[2] / "docs"
    assert [each.page for each in explanations().values() if not (docs / each.page).is_file()] == []


def test_an_error_ends_its_hint_with_the_code_that_explain_takes(offline: Project) -> None:
    refused = offline.run("apply", "--nonsense")
    code = re.search(r"\[(BOOT-\d+)\]\n$", refused.stderr)
    assert code is not None
    explained = offline.run("explain", code[1].lower())
    assert offline.run("explain", code[1].removeprefix("BOOT-")).stdout == explained.stdout
    assert (explained.returncode, explained.stderr) == (0, "")
    assert explained.stdout.startswith("wrong usage\n")
    assert "Documentation: reference/commands" in explained.stdout


def test_an_unknown_code_names_the_nearest(offline: Project) -> None:
    refused = offline.run("explain", "BOOT-70")
    assert (refused.returncode, "Did you mean 'BOOT-70" in refused.stderr) == (2, True)


@pytest.mark.parametrize(("error", "code"), [(errors.LockTimeoutError("run 1", 3), "BOOT-701"), (KeyError("x"), None)])
def test_a_json_error_has_its_code(error: Exception, code: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    error_output.report(error, Masker(), as_json=True, colour=False)
    assert json.loads(capsys.readouterr().err)["code"] == code
