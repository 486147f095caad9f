"""The text of the first bootstrap.yaml, and of the overlay of its protected environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bootstrapper.fixtures.pull import dumper
from bootstrapper.migrations.project.drivers import DRIVERS
from bootstrapper.scaffold.alembic_projects import DEFAULT_SECTION, AlembicProject
from bootstrapper.scaffold.models import ModelTable
from bootstrapper.scaffold.survey import Survey

OVERLAY = "bootstrap.production.yaml"
DEFAULT_VARIABLE = "DATABASE_URL"

_COMMENT_AT = 38
_WIDTH = 112
_MOST_TABLES = 30

_HEAD = """\
# Written by `bootstrapper init`; edit it freely. `bootstrapper validate -e development` checks it,
# `bootstrapper plan -e development` shows what would change, `bootstrapper apply -e development` makes the changes.
version: 1

database:
  # {variable} if it is set. Otherwise bootstrapper starts a PostgreSQL of its own in this folder.
  url: ${{{variable}:-embedded:.bootstrapper/postgres}}
  # direct_url: ${{DIRECT_URL}}         # the server itself, if url is the address of a pooler such as PgBouncer

# env_files: [.env?]                  # read variables from .env, if it exists; never in a protected environment

# Each command needs one of these: -e development, or BOOTSTRAPPER_ENVIRONMENT=development.
environments:
  development: {{}}
  production: {{file: {overlay}, protected: true}}

# The steps run from top to bottom. A step whose effect is present does nothing.
steps:
  - uses: wait                        # until the server accepts connections
    with: {{timeout: 60s}}
  - uses: lock                        # one run at a time; the others wait
    with: {{timeout: 5m}}
"""
_BACKUP = """\
  - uses: backup                      # before migrations, and only if data is at risk
    with: {directory: backups, keep: 7}
    when: {all: [{environment: [production]}, {pending: [migrate]}, {not: {database: empty}}]}
"""
_NO_ALEMBIC = """\
  # - uses: migrate                   # runs the revisions of an Alembic project
  #   with: {script_location: migrations}
"""
_SEED = """\
  - uses: seed                        # inserts the missing rows of the fixtures
"""
_COMMENTED_SEED = """\
  # - uses: seed                      # inserts the missing rows of the fixtures below
"""
_FIXTURES = """
# Rows that every database has. `bootstrapper pull TABLE... -e development` writes them from an existing database.
"""


def text(found: Survey, fixtures: str | None = None) -> str:
    """Returns the file.

    Args:
        fixtures: The section `fixtures`, as it was pulled from a database; None writes a commented example.
    """
    return "".join(_parts(found, fixtures))


def overlay_text(found: Survey) -> str:
    """Returns the overlay of the environment production, which has no default for the address."""
    return (
        "# What is different in production. Written by `bootstrapper init`; edit it freely.\n"
        "# There are no defaults: if a variable is missing, bootstrapper neither connects nor writes.\n"
        "database:\n" + "".join(f"  {line}\n" for line in _production(found))
    )


def variable(found: Survey) -> str:
    """Returns the variable with the address."""
    return found.url.url.name if found.url.url is not None else DEFAULT_VARIABLE


def is_migrated(found: Survey) -> bool:
    """Whether the file has a step for migrations: a history without revisions would be an error."""
    return found.alembic is not None and found.alembic.layout is not None and found.revisions != 0


def _parts(found: Survey, fixtures: str | None) -> Iterator[str]:
    yield _HEAD.format(variable=variable(found), overlay=OVERLAY)
    if found.alembic is not None and found.alembic.layout is not None:
        step = "".join(f"  {line}\n" for line in _migrate(found, found.alembic))
        if is_migrated(found):
            yield _BACKUP
            yield step
        else:
            yield "  # No revisions yet: remove the # once there is one.\n"
            yield "".join(f"  # {line.removeprefix('  ')}\n" for line in step.splitlines())
    else:
        yield _NO_ALEMBIC
    yield _SEED if fixtures else _COMMENTED_SEED
    yield _FIXTURES
    yield fixtures or "".join(f"# {line}".rstrip() + "\n" for line in _example(found))


def _production(found: Survey) -> Iterator[str]:
    if not found.url.parts:
        name = variable(found)
        yield f"url: ${{{name}:?set {name} to the address of the production database}}"
        return
    yield _commented("url: null", "the project reads the parts of the address from variables of its own")
    for key, name in found.url.parts.items():
        yield f"{key}: ${{{name}:-}}" if key == "port" else f"{key}: ${{{name}:?set {name}}}"


def _migrate(found: Survey, alembic: AlembicProject) -> Iterator[str]:
    yield _commented("- uses: migrate", "runs the pending revisions with the project's own env.py")
    options = list(_options(found, alembic))
    if options:
        yield "  with:"
        for key, value, comment in options:
            written = dumper.dump(dumper.Block({key: value})).rstrip("\n").splitlines()
            yield from (f"    {line}" for line in (_commented(written[0], comment, indent=4), *written[1:]))
    if len(found.heads) < 2:
        yield "  check: {revision: head}"


def _options(found: Survey, alembic: AlembicProject) -> Iterator[tuple[str, object, str]]:
    settings = alembic.settings
    if found.python is not None:
        python = f"${{PROJECT_PYTHON:-{found.python}}}"
        yield "python", python, "the project's interpreter; set PROJECT_PYTHON where it is another one"
    if settings.cwd.parts:
        yield "cwd", _literal(settings.cwd.as_posix()), "where the project runs Alembic"
    if settings.config is not None:
        yield "config", _literal(settings.config.as_posix()), ""
    if settings.section != DEFAULT_SECTION:
        yield "section", settings.section, "of the configuration file"
    if settings.script_location is not None:
        yield "script_location", _literal(settings.script_location), ""
    if len(found.heads) > 1:
        yield "target", "heads", f"the history has {len(found.heads)} heads"
    for key, setting in (("version_table", found.version_table), ("version_table_schema", found.version_schema)):
        if setting is not None and setting.value is not None:
            yield key, _literal(setting.value), "as env.py sets it"
    if env := _environment(found):
        yield "env", env, "what the project's settings read"
    if (driver := _driver(found)) and variable(found) == DEFAULT_VARIABLE:
        yield "driver", driver, "of SQLAlchemy"


def _literal(text: str) -> str:
    """Returns the text so that the file does not interpolate it."""
    return text.replace("${", "$${")


def _environment(found: Survey) -> Mapping[str, object]:
    if found.url.parts:
        values = {name: f"${{run.{key}}}" for key, name in found.url.parts.items()}
        if "port" not in found.url.parts:  # a URL that is put together from the host takes its port, too
            values[found.url.parts["host"]] = "${run.host}:${run.port}"
        return values
    name, driver = variable(found), _driver(found)
    if name == DEFAULT_VARIABLE:
        return {}
    return {name: f"${{run.url+{driver}}}" if driver else "${run.url}"}


def _driver(found: Survey) -> str | None:
    """Returns the driver of the project's examples, if the step `migrate` knows it."""
    driver = found.url.url.driver if found.url.url is not None else None
    return driver if driver in {each.name for each in DRIVERS} else None


def _example(found: Survey) -> Iterator[str]:
    """Yields a fixture for a table of the project; its values are left to a person."""
    if found.tables:
        names = [table.name for table in found.tables]
        more = f" and {len(names) - _MOST_TABLES} more" if len(names) > _MOST_TABLES else ""
        yield from _wrapped(f"Tables of the {found.tables_of}: {', '.join(names[:_MOST_TABLES])}{more}.")
    yield "fixtures:"
    table = _best(found) or ModelTable("countries", ("code", "name"), ("code",), found.root)
    key = table.key or table.columns[:1] or ("name",)
    yield f"  {table.name.rpartition('.')[2]}:"
    if "." in table.name:
        yield f"    table: {table.name}"
    yield f"    key: [{', '.join(key)}]"
    yield "    rows:"
    columns = list(dict.fromkeys((*key, *table.columns)))[:4]
    yield f"      - {{{', '.join(f'{column}: ...' for column in columns)}}}"


def _best(found: Survey) -> ModelTable | None:
    """Returns a table that is easy to declare: few columns, and a key that is not a number of the server."""
    natural = [table for table in found.tables if table.key and not set(table.key) & {"id", "uuid"}]
    return min(natural or found.tables, key=lambda table: (len(table.columns), table.name), default=None)


def _wrapped(text: str) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    yield line


def _commented(line: str, comment: str, indent: int = 0) -> str:
    """Returns the line with a comment, in the column of the others where there is room."""
    if not comment:
        return line
    column = _COMMENT_AT - 2 - indent
    return f"{line:<{column}}# {comment}" if len(line) < column else f"{line}  # {comment}"
