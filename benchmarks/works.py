"""The works of the benchmark of rows: the steps of each, how bootstrapper does them, and the yardsticks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import products, records
from benchmarks.contestants import CHANGES_PENDING, COPY, copy_products
from benchmarks.tables import CUSTOMERS, FLIGHTS, ORDERS, PLACES, PRODUCTS, Table
from benchmarks.tools import DATABASE, Tool, bootstrapper, peer, psql, write_project
from tests.servers import Server

PEER_DATABASE = f"{DATABASE}_peer"
PLACES_ROWS = 34_006
FLIGHTS_ROWS = 336_776
PRODUCTS_ROWS = 1_000_000
YAML_ROWS = 100_000
REFERENCING_ROWS = 10_000
CHANGED_ROWS = 28
UNDECLARED_ROWS = 13


@dataclass(frozen=True)
class Step:
    """One command of bootstrapper and its yardstick, which is 1.00.

    Attributes:
        most: The highest ratio that reaches the goal.
        before: A statement that is run first, in the databases of both.
        leaves: The number of changed rows that are left in the database.
    """

    name: str
    yardstick: Tool
    ours: Tool
    most: float
    before: str = ""
    leaves: int = 0


@dataclass(frozen=True)
class Work:
    """Steps that follow each other.

    Attributes:
        load: What fills the tables first, by database, if the steps need rows. The last step then leaves the rows as
            the first one found them; otherwise each round begins with new databases.
    """

    table: Table
    rows: int
    steps: Sequence[Step]
    load: Mapping[str, Sequence[Tool]] = field(default_factory=dict)


def json_lines(folder: Path, server: Server) -> Work:
    file = folder / "places.jsonl"
    records.write_places(file, PLACES_ROWS)
    write_project(folder / "project", _fixture(PLACES, "update", file))
    plan, apply = _commands(folder / "project", server)

    def through_json(statement: str) -> Tool:
        arguments = (str(file), PLACES.name, statement)
        return peer("json_lines", *arguments, folder=folder, server=server, database=PEER_DATABASE)

    changed = Step(
        f"plan, {CHANGED_ROWS} rows changed",
        through_json(PLACES.expect(CHANGED_ROWS)),
        plan,
        1.5,
        before=PLACES.change(CHANGED_ROWS),
        leaves=CHANGED_ROWS,
    )
    steps = [
        Step("first apply", through_json(PLACES.insert), apply, 2),
        Step("apply, unchanged", through_json(PLACES.update), apply, 0.5),
        changed,
    ]
    return Work(PLACES, PLACES_ROWS, steps)


def flights_update(folder: Path, server: Server) -> Work:
    file = folder / "flights.csv"
    records.write_flights(file, FLIGHTS_ROWS)
    write_project(folder / "project", _fixture(FLIGHTS, "update", file))
    plan, apply = _commands(folder / "project", server)
    changed = Step(
        f"plan, {CHANGED_ROWS} rows changed",
        _through_copy(FLIGHTS, file, FLIGHTS.expect(CHANGED_ROWS), server),
        plan,
        1.5,
        before=FLIGHTS.change(CHANGED_ROWS),
        leaves=CHANGED_ROWS,
    )
    update = _through_copy(FLIGHTS, file, FLIGHTS.update, server)
    steps = [changed, Step(f"apply, {CHANGED_ROWS} rows changed", update, apply, 2)]
    return Work(FLIGHTS, FLIGHTS_ROWS, steps, _loads(FLIGHTS, file, apply, server))


def flights_sync(folder: Path, server: Server) -> Work:
    file = folder / "flights.csv"
    records.write_flights(file, FLIGHTS_ROWS)
    write_project(folder / "project", _fixture(FLIGHTS, "sync", file, "where: all"))
    _, apply = _commands(folder / "project", server)
    delete = _through_copy(FLIGHTS, file, FLIGHTS.delete, server)
    undeclared = FLIGHTS.add(UNDECLARED_ROWS, {"flight": "flight + 100000"})
    steps = [Step(f"apply, {UNDECLARED_ROWS} rows to delete", delete, apply, 2, before=undeclared)]
    return Work(FLIGHTS, FLIGHTS_ROWS, steps, _loads(FLIGHTS, file, apply, server))


def products_create(folder: Path, server: Server) -> Work:
    return _products(folder, server, "create", 1.2)


def products_update(folder: Path, server: Server) -> Work:
    return _products(folder, server, "update", 1.4)


def _products(folder: Path, server: Server, mode: str, most: float) -> Work:
    file = folder / "products.csv"
    products.write_csv(file, PRODUCTS_ROWS)
    products.write_project(folder / "project", mode=mode, file=file.name)
    plan, apply = _commands(folder / "project", server)
    steps = [
        Step("first apply", copy_products(file, server, PEER_DATABASE), apply, most),
        Step("apply, unchanged", _through_copy(PRODUCTS, file, PRODUCTS.expect(0), server), apply, 0.2),
    ]
    if mode == "update":
        compare = _through_copy(PRODUCTS, file, PRODUCTS.expect(1), server)
        steps.append(Step("plan, one cell changed", compare, plan, 1.5, before=PRODUCTS.change(1), leaves=1))
    return Work(PRODUCTS, PRODUCTS_ROWS, steps)


def yaml(folder: Path, server: Server) -> Work:
    file, rows = folder / "customers.yaml", folder / "customers.csv"
    records.write_customers_yaml(file, YAML_ROWS)
    records.write_customers(rows, YAML_ROWS)
    write_project(folder / "project", _fixture(CUSTOMERS, "update", file))
    _, apply = _commands(folder / "project", server)
    unchanged = bootstrapper("plan", "plan", "--exit-code", folder=folder / "project", server=server)
    read = peer("yaml_loader", str(file), folder=folder, server=server)
    copies = [
        psql(COPY, "-c", CUSTOMERS.copy(rows), folder=folder, server=server, database=database)
        for database in (DATABASE, PEER_DATABASE)
    ]
    load = {DATABASE: [copies[0], apply], PEER_DATABASE: [copies[1]]}
    return Work(CUSTOMERS, YAML_ROWS, [Step("plan, unchanged", read, unchanged, 1.5)], load)


def references(folder: Path, server: Server) -> Work:
    customers, orders = folder / "customers.csv", folder / "orders.csv"
    records.write_customers(customers, REFERENCING_ROWS)
    records.write_orders(orders, REFERENCING_ROWS, REFERENCING_ROWS)
    columns = "columns: {number: number, customer_id: {$ref: {customers: {code: {$field: customer}}}}"
    columns += ", total: total, placed_on: placed_on}"
    fixtures = _fixture(CUSTOMERS, "update", customers) + _fixture(ORDERS, "update", orders, columns)
    write_project(folder / "project", fixtures)
    _, apply = _commands(folder / "project", server)
    files = (str(customers), str(orders))
    two_copies = peer("referenced_rows", *files, folder=folder, server=server, database=PEER_DATABASE)
    return Work(ORDERS, REFERENCING_ROWS, [Step("first apply", two_copies, apply, 2)])


WORKS: Mapping[str, Callable[[Path, Server], Work]] = {
    "json-lines": json_lines,
    "flights-update": flights_update,
    "flights-sync": flights_sync,
    "products-create": products_create,
    "products-update": products_update,
    "yaml": yaml,
    "references": references,
}
"""By name, what writes the files of a work into an empty folder."""


def _fixture(table: Table, mode: str, file: Path, *more: str) -> str:
    lines = [f"key: [{', '.join(table.key)}]", f"mode: {mode}", f"file: ../{file.name}", *more]
    return f"  {table.name}:\n" + "".join(f"    {line}\n" for line in lines)


def _commands(project: Path, server: Server) -> tuple[Tool, Tool]:
    """The plan of a project with pending changes, and its apply."""
    plan = ("plan", "plan", "--exit-code")
    return (
        bootstrapper(*plan, folder=project, server=server, exit_code=CHANGES_PENDING),
        bootstrapper("apply", "apply", folder=project, server=server),
    )


def _through_copy(table: Table, file: Path, statement: str, server: Server) -> Tool:
    script = file.parent / f"{statement.split()[0].lower()}-{abs(hash(statement))}.sql"
    table.write_psql(script, file, statement)
    return psql(COPY, "-f", str(script), folder=file.parent, server=server, database=PEER_DATABASE)


def _loads(table: Table, file: Path, apply: Tool, server: Server) -> dict[str, list[Tool]]:
    return {DATABASE: [apply], PEER_DATABASE: [_through_copy(table, file, table.insert, server)]}
