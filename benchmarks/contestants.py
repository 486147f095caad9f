"""Who loads rows in the benchmark of seeds, and how each is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import products
from benchmarks.installed import django_python
from benchmarks.tools import DATABASE, Tool, bootstrapper, django_database, peer, psql, show
from tests.servers import Server

FIRST = "first load"
UNCHANGED = "unchanged"
CHANGED = "plan, one cell changed"
YAML_FIRST = "first load, YAML"
YAML_UNCHANGED = "unchanged, YAML"

COPY = "psql \\copy"
TEMPORARY = "temporary table"
LOADDATA = "django loaddata, JSON"

MOST_ROWS_OF_YAML = 10_000
MOST_ROWS_ONE_BY_ONE = 100_000
SLOW_ROWS = 10_000
"""What goes row by row is measured once with more rows than these."""

CHANGES_PENDING = 4
"""The exit code of `plan --exit-code`; another one would mean that the changes were overlooked."""


@dataclass(frozen=True)
class Contestant:
    """One way to seed.

    Attributes:
        works: What it is measured at, in this order, on one and the same database.
        load: Fills the table first, for one that only compares.
    """

    name: str
    works: Mapping[str, Tool]
    load: Tool | None = None
    is_slow: bool = False

    @property
    def is_yardstick(self) -> bool:
        return self.name in (COPY, TEMPORARY)


def find_contestants(folder: Path, rows: int, server: Server) -> list[Contestant]:
    """Writes what each of them reads into the folder."""
    folder.mkdir(parents=True)
    file = folder / "products.csv"
    products.write_csv(file, rows)
    size = file.stat().st_size
    show(f"{rows} rows: {size / 1024**2:.1f} MiB of CSV, {size / rows:.0f} bytes a row")
    copy = copy_products(file, server)
    found = [
        Contestant(COPY, {FIRST: copy}),
        Contestant(TEMPORARY, {UNCHANGED: _script("temporary_table", file, server)}, load=copy),
        _bootstrapper("create", file, server),
        _bootstrapper("update", file, server),
        Contestant("sqlalchemy core, bulk insert", {FIRST: _script("bulk_insert", file, server)}),
    ]
    if rows <= MOST_ROWS_ONE_BY_ONE:
        script = _script("get_or_create", file, server)
        found.append(
            Contestant("sqlalchemy get-or-create", {FIRST: script, UNCHANGED: script}, is_slow=rows > SLOW_ROWS)
        )
        found += _django(folder, rows, server)
    else:
        show(f"{rows} rows one by one would take minutes to hours: get-or-create and loaddata are left out")
    if rows <= MOST_ROWS_OF_YAML:
        products.write_yaml(folder / "products.yaml", rows)
        found.append(_bootstrapper("update", folder / "products.yaml", server))
    return found


def copy_products(file: Path, server: Server, database: str = DATABASE) -> Tool:
    command = f"\\copy products FROM '{file}' WITH (FORMAT csv, HEADER)"
    return psql(COPY, "-c", command, folder=file.parent, server=server, database=database)


def _script(name: str, file: Path, server: Server) -> Tool:
    return peer(name, str(file), folder=file.parent, server=server)


def _bootstrapper(mode: str, file: Path, server: Server) -> Contestant:
    is_yaml = file.suffix == ".yaml"
    folder = file.parent / f"bootstrapper-{mode}{file.suffix}"
    products.write_project(folder, mode=mode, file=file.name)
    name = f"bootstrapper {mode}, {'YAML' if is_yaml else 'CSV'}"
    apply = bootstrapper(name, "apply", folder=folder, server=server)
    works = {YAML_FIRST: apply, YAML_UNCHANGED: apply} if is_yaml else {FIRST: apply, UNCHANGED: apply}
    if mode == "update" and not is_yaml:
        works[CHANGED] = bootstrapper(
            name, "plan", "--exit-code", folder=folder, server=server, exit_code=CHANGES_PENDING
        )
    return Contestant(name, works)


def _django(folder: Path, rows: int, server: Server) -> list[Contestant]:
    python = django_python()
    if python is None:
        show("Django can not be installed: left out")
        return []
    project = folder / "django"
    products.write_django(project, django_database(server.port, server.user, server.password))
    products.write_django_json(folder / "django.json", rows)
    loaddata = _loaddata(python, project, folder / "django.json")
    found = [Contestant(LOADDATA, {FIRST: loaddata, UNCHANGED: loaddata}, is_slow=rows > SLOW_ROWS)]
    if rows <= MOST_ROWS_OF_YAML:
        products.write_django_yaml(folder / "django.yaml", rows)
        loaddata = _loaddata(python, project, folder / "django.yaml")
        found.append(Contestant("django loaddata, YAML", {YAML_FIRST: loaddata, YAML_UNCHANGED: loaddata}))
    return found


def _loaddata(python: Path, project: Path, file: Path) -> Tool:
    variables = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project)}
    return Tool(f"loaddata {file.name}", [str(python), "-m", "django", "loaddata", str(file)], project, variables)
