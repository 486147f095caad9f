"""A secret that reaches a plugin's options is in nothing that it makes of it: plans, events, errors, the ledger."""

from __future__ import annotations

import re
from textwrap import indent

import psycopg
import pytest
from psycopg import sql

from tests.plugin.authors import APPLY, EMPTY, Author

STEPS = "- uses: mark\n  with: {text: {$env: {name: KEY, secret: true}}}"
PEM = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7\nzW9xQ2l8kqk3n\n-----END KEY-----\n"
SECRETS = {
    "short": "pw1",
    "word": "sesame",
    "digits": "48151623",
    "plain": "correct horse battery",
    "padded": "  correct horse battery \n",
    "quoted": 'it\'s a "secret" \\ thing',
    "key": PEM,
    "unicode": "grün\u2028geheim\x07",
}
PRELUDE = """\
import json, urllib.parse
secret = self.options.text
spelt = [
    secret, repr(secret), json.dumps(secret), secret.strip(), max(secret.splitlines(), key=len),
    urllib.parse.quote(secret), urllib.parse.quote_plus(secret),
]
shown = " ".join(f"<<{text}>>" for text in spelt)
"""
REST = re.compile(r"\*\*\*|\\\\*n|%0A|%20|\+|[\s'\"\\]", re.IGNORECASE)
COMMANDS = [
    ("plan",),
    ("plan", "--format", "json"),
    ("plan", "--format", "markdown"),
    ("status",),
    ("apply",),
    ("apply", "--format", "json"),
]


def told(author: Author, secret: str, *arguments: str) -> str:
    """Returns all that the program says, and what the ledger has of it."""
    done = author.run(*arguments, KEY=secret)
    assert "bug in bootstrapper" not in done.stderr, done.stderr
    said = done.stdout + done.stderr
    with psycopg.connect(author.project.url) as connection:
        for table in ("runs", "steps"):
            name = f"bootstrapper.{table}"
            if connection.execute("SELECT to_regclass(%s)", (name,)).fetchone() != (None,):
                query = sql.SQL("SELECT r::text FROM {} AS r").format(sql.Identifier("bootstrapper", table))
                said += "\n".join(row[0] for row in connection.execute(query))
    return said


def require_hidden(said: str) -> None:
    """Fails if what stands between << and >> is anything but the mask and the white space around a secret."""
    said = said.replace("&lt;", "<").replace("&gt;", ">").replace("\\<", "<").replace("\\>", ">").replace("\\*", "*")
    found = [part.partition(">>")[0] for part in said.split("<<")[1:]]
    assert found, said
    assert [part for part in found if REST.sub("", part)] == [], said


def indented(text: str) -> str:
    return indent(text, "    ")


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_changes_show_no_secret(author: Author, command: tuple[str, ...], secret: str) -> None:
    change = "Change.create(shown, reason=shown, after={shown: shown}), Deferred(shown, shown, targets=(shown,))"
    findings = f"def findings(self, context, changes):\n{indented(PRELUDE)}    return [Finding(shown, shown, shown)]\n"
    remarks = f"def remarks(self, changes):\n{indented(PRELUDE)}    return [shown]\n"
    author.step(
        changes=f"{PRELUDE}return [{change}] if {EMPTY} else []",
        apply=f"{PRELUDE}context.report(shown)\ncontext.progress(1, 2, 'rows', shown)\n{APPLY}",
        more=findings + remarks,
        steps=STEPS,
    )
    require_hidden(told(author, secret, *command))


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("raises", ["KeyError(shown)", "StepFailedError(shown, hint=shown)"])
@pytest.mark.parametrize("method", ["changes", "apply", "remarks"])
def test_errors_show_no_secret(author: Author, method: str, raises: str, secret: str) -> None:
    fails = f"{PRELUDE}raise {raises}"
    if method == "remarks":
        author.step(more=f"def remarks(self, changes):\n{indented(fails)}", steps=STEPS)
    else:
        author.step(**{method: fails}, steps=STEPS)
    require_hidden(told(author, secret, "apply"))


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("raises", ["KeyError(shown)", "StepFailedError(shown, hint=shown)"])
def test_errors_of_the_configuration_show_no_secret(author: Author, raises: str, secret: str) -> None:
    author.step(more=f"def problems(self, project):\n{indented(PRELUDE)}    raise {raises}\n", steps=STEPS)
    require_hidden(told(author, secret, "validate"))


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("command", COMMANDS[:4], ids=" ".join)
def test_reasons_show_no_secret(author: Author, command: tuple[str, ...], secret: str) -> None:
    author.step(
        changes="return []", more=f"def done_reason(self, context):\n{indented(PRELUDE)}    return shown\n", steps=STEPS
    )
    require_hidden(told(author, secret, *command))


def test_a_payload_reaches_apply_as_it_was_made(author: Author) -> None:
    author.step(
        changes=f"return [Change.create(self.options.text, payload=[self.options.text])] if {EMPTY} else []",
        apply=f"{APPLY}\nassert changes[0].payload == [self.options.text] and changes[0].target == '***'",
        steps=STEPS,
    )
    done = author.run("apply", KEY="correct horse battery")
    assert done.returncode == 0, done.stderr


def test_what_a_step_logs_shows_no_secret_in_whatever_handler(author: Author) -> None:
    logs = """
import logging, os
logging.basicConfig(format="%(name)s %(message)s %(token)s", level=logging.INFO, force=True)
secret = os.environ["API_TOKEN"]
context.logger.info("in halves: %s%s", secret[:9], secret[9:], extra={"token": secret})
try:
    raise KeyError(secret)
except KeyError:
    context.logger.getChild("inner").exception("failed", extra={"token": ""})
"""
    author.step(apply=APPLY + logs)
    said = author.run("apply", API_TOKEN="correct-horse-battery").stderr
    assert "bootstrapper.steps.mark in halves: *** ***" in said
    assert "bootstrapper.steps.mark.inner failed" in said
    assert "KeyError: '***'" in said
    assert "correct" not in said
