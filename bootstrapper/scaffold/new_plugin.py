"""The files of a new plugin: one step that works, as a single file, or as a distribution with tests of it."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Mapping

from bootstrapper.errors import UsageError
from bootstrapper.plugin.contracts import API_VERSION

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

_PLUGIN = '''\
"""The step `{name}`, which sets the comment of a table. Replace what it does by what yours is to do.

    steps:
      - uses: {name}
        with: {{table: books, comment: Books that can be borrowed}}
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from bootstrapper import Change, Context, Deferred, Step, StepFailedError, StepModel, hookimpl

bootstrapper_api = {version}

_FOUND = "SELECT to_regclass(%s)"
_COMMENT = "SELECT obj_description(to_regclass(%s), 'pg_class')"


class {kind}Options(StepModel):
    """What stands under `with:`.

    Attributes:
        table: The table, as SQL names it: with its schema, unless search_path finds it.
        comment: The comment that it is to have.
    """

    table: str
    comment: str


class {kind}(Step[{kind}Options]):
    """Sets the comment of a table."""

    uses = "{name}"
    pure = True
    leaves_others_alone = True

    def changes(self, context: Context) -> Sequence[Change | Deferred]:
        """Returns what differs, read in a READ ONLY transaction; an empty list if nothing does."""
        table, comment = self.options.table, self.options.comment
        if context.connection.execute(_FOUND, (table,)).fetchone() == (None,):
            return [Deferred(f"table {{table}}", "the table does not exist yet")]  # an earlier step may create it
        found = context.connection.execute(_COMMENT, (table,)).fetchone()
        if found == (comment,):
            return []
        return [Change.run(f"comment on {{table}}", reason="has another comment")]

    def apply(self, context: Context, changes: Sequence[Change | Deferred]) -> None:
        """Makes these changes, in one transaction with the fence of the lock; never commits."""
        names = sql.SQL(".").join(map(sql.Identifier, self.options.table.split(".")))
        for change in changes:
            if isinstance(change, Deferred):  # still missing at the step's turn
                raise StepFailedError(f"needs {{change.needs}}", hint="Create it in an earlier step.")
            statement = sql.SQL("COMMENT ON TABLE {{}} IS {{}}").format(names, sql.Literal(self.options.comment))
            context.connection.execute(statement)


@hookimpl
def bootstrapper_steps() -> list[type[Step]]:
    return [{kind}]
'''
_PROJECT = """\
[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "0.1.0"
description = "The step {name} for bootstrapper."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["pg-bootstrapper"]

[project.optional-dependencies]
dev = ["mypy>=1.15", "pg-bootstrapper[embedded]", "pytest>=8"]

[project.entry-points.bootstrapper]
{name} = "{package}.plugin"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]

[tool.mypy]
strict = true
files = ["{package}", "tests"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""
_README = """\
# {distribution}

A plugin for bootstrapper with the step `{name}`, which sets the comment of a table:

```yaml
plugins: [{distribution}]
steps:
  - uses: lock
  - uses: {name}
    with: {{table: books, comment: Books that can be borrowed}}
```

## Development

```sh
pip install -e '.[dev]'
mypy
pytest
```

The tests run on an embedded PostgreSQL; `pytest -o bootstrap_database_url=postgresql://...` names another server, whose
role may create databases.
"""
_TESTS = '''\
"""The step keeps the contract of a step: its tests are those of the suite."""

from bootstrapper.testing import StepSuite


class Test{kind}(StepSuite):
    plugins = ("{distribution}",)
    step = "{{uses: {name}, with: {{table: books, comment: Books that can be borrowed}}}}"
    database = "CREATE TABLE books (isbn text)"
    drifted = "COMMENT ON TABLE books IS NULL"
    kill_every = 3
'''


def require_name(name: str, taken: Collection[str]) -> None:
    """Raises UsageError for a name that a module and a step cannot both have.

    Args:
        taken: The names of the built-in steps.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        hint = "Use lower-case letters, digits and single underscores, such as grant_read."
        raise UsageError(f"{name!r} is not a valid name of a plugin", hint=hint)
    if name in taken:
        raise UsageError(f"{name!r} is the name of a built-in step", hint="Choose another name.")


def single_file(name: str) -> Mapping[str, str]:
    """Returns the texts of the files by their paths."""
    return {f"{name}.py": _filled(_PLUGIN, name)}


def distribution(name: str) -> Mapping[str, str]:
    """Returns the texts of the files by their paths, which begin with the folder of the distribution."""
    package = f"bootstrapper_{name}"
    texts = {
        "pyproject.toml": _PROJECT,
        "README.md": _README,
        f"{package}/__init__.py": '"""A plugin for bootstrapper with the step `{name}`."""\n',
        f"{package}/plugin.py": _PLUGIN,
        f"{package}/py.typed": "",
        f"tests/test_{name}.py": _TESTS,
    }
    return {f"{distribution_name(name)}/{path}": _filled(text, name) for path, text in texts.items()}


def distribution_name(name: str) -> str:
    return f"bootstrapper-{name.replace('_', '-')}"


def _filled(template: str, name: str) -> str:
    return template.format(
        name=name,
        kind="".join(part.capitalize() for part in name.split("_")),
        package=f"bootstrapper_{name}",
        distribution=distribution_name(name),
        version=API_VERSION,
    )
