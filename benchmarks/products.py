"""Generated rows of one table of eight types, as each tool wants them: CSV, YAML, and fixtures of Django.

The same number always gives the same row, of about 130 bytes in CSV. Primary keys ascend; codes are scattered, so that
their index grows everywhere at once, as natural keys make it grow.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks import tools

CREATE_TABLE = """
CREATE TABLE products (
    id bigint PRIMARY KEY,
    code text NOT NULL UNIQUE,
    name text NOT NULL,
    price numeric(12, 2) NOT NULL,
    stock integer,
    active boolean NOT NULL,
    updated_at timestamptz NOT NULL,
    attributes jsonb NOT NULL
)
"""
CHANGE_ONE_CELL = "UPDATE products SET name = name || '!' WHERE id = (SELECT max(id) / 2 FROM products)"

_FIXTURE = """  products:
    key: [id]
    mode: {mode}
    file: ../{file}
"""
_DJANGO_SETTINGS = """SECRET_KEY = "benchmark"
INSTALLED_APPS = ["shop"]
DATABASES = {{"default": {database}}}
USE_TZ = True
"""
_DJANGO_MODELS = """from django.db import models


class Product(models.Model):
    id = models.BigIntegerField(primary_key=True)
    code = models.TextField(unique=True)
    name = models.TextField()
    price = models.DecimalField(max_digits=12, decimal_places=2)
    stock = models.IntegerField(null=True)
    active = models.BooleanField()
    updated_at = models.DateTimeField()
    attributes = models.JSONField()

    class Meta:
        managed = False
        db_table = "products"
"""
_MODEL = "shop.product"
_ADJECTIVES = ("Small", "Large", "Folding", "Waterproof", "Second-hand", "Hand-made", "Cordless", "Stackable")
_NOUNS = ("Lamp", "Kettle", "Ladder", "Backpack", "Drill", "Chair", "Hinge", "Tarpaulin", "Compass", "Bucket", "Vise")
_COLOURS = ("red", "teal", "black", "ochre", "white")


def write_csv(file: Path, rows: int) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for number, product in enumerate(_products(rows)):
            if number == 0:
                writer.writerow(product)
            writer.writerow([_text(value) for value in product.values()])


def write_yaml(file: Path, rows: int) -> None:
    """A list of rows in block style, as people write them."""
    _write(file, (_block(product, "- ", "  ") for product in _products(rows)))


def write_django_json(file: Path, rows: int) -> None:
    objects = (
        json.dumps({"model": _MODEL, "pk": product["id"], "fields": _beside_key(product)})
        for product in _products(rows)
    )
    _write(file, _between("[\n", ",\n", "\n]\n", objects))


def write_django_yaml(file: Path, rows: int) -> None:
    objects = (
        f"- model: {_MODEL}\n  pk: {product['id']}\n  fields:\n{_block(_beside_key(product), '    ', '    ')}"
        for product in _products(rows)
    )
    _write(file, objects)


def write_project(folder: Path, *, mode: str, file: str) -> None:
    """A bootstrap.yaml with one fixture, whose file is beside the folder."""
    tools.write_project(folder, _FIXTURE.format(mode=mode, file=file))


def write_django(folder: Path, database: Mapping[str, str]) -> None:
    """A Django project with one application, whose model is the table as it is there."""
    application = folder / "shop"
    application.mkdir(parents=True)
    (folder / "settings.py").write_text(_DJANGO_SETTINGS.format(database=dict(database)))
    (application / "__init__.py").touch()
    (application / "models.py").write_text(_DJANGO_MODELS)


def _products(rows: int) -> Iterator[dict[str, object]]:
    for number in range(1, rows + 1):
        scattered = number * 2654435761 % 2**32
        yield {
            "id": number,
            "code": f"P-{scattered:010}",
            "name": f"{_ADJECTIVES[scattered % 8]} {_NOUNS[scattered % 11]}, series {scattered % 997}",
            "price": f"{scattered % 1_000_000 // 100}.{scattered % 100:02}",
            "stock": None if scattered % 10 == 0 else scattered % 5000,
            "active": scattered % 3 > 0,
            "updated_at": f"2025-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:00+00:00",
            "attributes": {"colour": _COLOURS[scattered % 5], "weight": scattered % 900},
        }


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return json.dumps(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _block(columns: Mapping[str, object], first: str, indent: str) -> str:
    """A mapping in block style; JSON's scalars and mappings are YAML's, but a number in quotes is text."""
    lines = [f"{name}: {value if name == 'price' else json.dumps(value)}\n" for name, value in columns.items()]
    return first + indent.join(lines)


def _beside_key(product: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in product.items() if name != "id"}


def _between(begin: str, separator: str, end: str, items: Iterable[str]) -> Iterator[str]:
    for number, item in enumerate(items):
        yield (separator if number else begin) + item
    yield end


def _write(file: Path, parts: Iterable[str]) -> None:
    with file.open("w", encoding="utf-8") as stream:
        stream.writelines(parts)
