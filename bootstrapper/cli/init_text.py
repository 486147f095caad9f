"""What `init` says: what it found, what it did not find, and the next commands."""

from __future__ import annotations

from collections.abc import Iterator

from bootstrapper.api.init import Draft
from bootstrapper.cli.options import DEFAULT_FILE
from bootstrapper.scaffold import alembic_projects, bootstrap_file
from bootstrapper.scaffold.survey import Survey
from bootstrapper.scaffold.version_table import Setting
from bootstrapper.text import counted, listed

_MOST_NAMES = 8
_WIDTH = 12


def findings(made: Draft) -> Iterator[str]:
    """Yields a line for each thing that was looked for."""
    found = made.found
    yield from _alembic(found)
    yield from _address(found)
    if found.alembic is not None:
        yield from _version_table(found)
    yield from _tables(found)
    yield _said("server", made.server)
    yield from _database(made)


def next_commands(made: Draft) -> Iterator[str]:
    """Yields what to do next."""
    file = f" -f {made.file}" if made.file != DEFAULT_FILE else ""
    yield "next:"
    yield f"  bootstrapper validate -e development{file}"
    yield f"  bootstrapper plan -e development{file}"
    yield f"  bootstrapper apply -e development{file}"
    name = bootstrap_file.variable(made.found) if not made.found.url.parts else made.found.url.parts["host"]
    yield f"in production: set {name}, then the same with -e production"


def _said(subject: str, text: str) -> str:
    """Returns a line; one without a subject continues the one above."""
    return f"{subject + ':' if subject else '':<{_WIDTH}} {text}"


def _alembic(found: Survey) -> Iterator[str]:
    project = found.alembic
    if project is None:
        yield _said("Alembic", "not found; the file has no migrations")
        return
    if project.layout is None:
        yield _said("Alembic", f"{project.shown} cannot be read: {project.problem}")
        return
    yield _said("Alembic", f"{project.shown}, script_location {alembic_projects.location(project)}, {_history(found)}")
    if found.others:
        yield _said("", f"not used: {_some(found.others)}; choose another one with --alembic")
    if project.sections:
        yield _said("", f"further sections: {_some(project.sections)}; add a step migrate with `section:` for each")
    if project.env_py is None:
        yield _said("", "its package was not located, so env.py was not read")
    if found.python is not None:
        yield _said("Python", f"{found.python}, which has the project's Alembic")
    if found.needs_application:
        yield _said(
            "warning", "env.py works only inside the Flask application (current_app): name a folder of your own"
        )
        yield _said("", "as script_location, with an env.py that runs this one in create_app().app_context();")
        yield _said("", "see Projects with custom migration commands in the documentation")


def _history(found: Survey) -> str:
    if found.revisions is None:
        return "revisions not known without running its code"
    if not found.revisions:
        return "without revisions; the step migrate is a comment until there is one"
    heads = f", {counted(len(found.heads), 'head')}" if len(found.heads) > 1 else ""
    return f"{counted(found.revisions, 'revision')}{heads}"


def _address(found: Survey) -> Iterator[str]:
    url = found.url
    if url.parts:
        yield _said("address", f"from {listed(url.parts.values())} ({url.place})")
    elif url.url is None:
        yield _said("address", f"no variable found; the file uses {bootstrap_file.DEFAULT_VARIABLE}")
    else:
        verb = "read in" if url.is_read else "set in"
        driver = f", driver {url.url.driver}" if url.url.driver else ""
        yield _said("address", f"variable {url.url.name}, {verb} {url.place}{driver}")
    if url.others:
        yield _said("", f"not used: {_some(tuple(each.name for each in url.others))}")


def _version_table(found: Survey) -> Iterator[str]:
    for subject, setting in (("versions", found.version_table), ("schema", found.version_schema)):
        if setting is not None:
            yield _said(subject, _setting(setting, found))
    if found.version_table is None and found.version_schema is None and found.alembic and found.alembic.env_py:
        yield _said("versions", "alembic_version, the default")


def _setting(setting: Setting, found: Survey) -> str:
    key = "version_table" if setting is found.version_table else "version_table_schema"
    place = f"env.py, line {setting.line}"
    if setting.value is not None:
        return f"{key} {setting.value} ({place})"
    return f"{key} is computed ({setting.written}, {place}); set it under `with:` of migrate"


def _tables(found: Survey) -> Iterator[str]:
    if not found.tables:
        yield _said("tables", "not found in models or revisions")
        return
    names = tuple(table.name for table in found.tables)
    yield _said("tables", f"{len(names)} in the {found.tables_of}: {_some(names)}")


def _database(made: Draft) -> Iterator[str]:
    for table in sorted(made.tables, key=lambda each: not each.is_chosen):
        yield _said("pulled" if table.is_chosen else "left out", f"{table.name} ({table.reason})")
    if made.tables and not made.rows:
        yield _said("pulled", "nothing; name tables with --table")


def _some(names: tuple[str, ...]) -> str:
    shown = names[:_MOST_NAMES]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{', '.join(shown)}{more}"
