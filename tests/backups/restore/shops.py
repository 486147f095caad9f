"""Databases with something in them, and what pg_dump says of them."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from bootstrapper.backups.stores.folder import backups
from tests.cli.project import Project
from tests.servers import Server

SHOP = Path(__file__).with_name("shop.sql").read_text(encoding="utf-8")
FILE = """\
version: 1
name: shop
database: {url: "${DATABASE_URL}"}
environments:
  here: {}
  live: {protected: true}
steps:
  - uses: lock
    with: {timeout: 5s}
  - uses: backup
    check: never
"""
ROLES = """
DO $$ BEGIN
    CREATE ROLE shop_owner; CREATE ROLE shop_reader; CREATE ROLE shop_keeper LOGIN PASSWORD 'keeps' IN ROLE shop_owner;
EXCEPTION WHEN duplicate_object THEN NULL; END $$
"""
CHANGES = """
DROP TABLE playlist_track;
TRUNCATE track;
DELETE FROM stock.sale;
ALTER TABLE album ADD COLUMN extra int DEFAULT 1;
INSERT INTO artist (name) VALUES ('after the backup');
CREATE TABLE made_later (artist_id integer REFERENCES artist);
CREATE VIEW later_view AS SELECT * FROM made_later;
COMMENT ON TABLE artist IS 'changed';
REVOKE ALL ON artist FROM shop_reader;
"""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Shop:
    """One database with its project; commands are run as typed."""

    server: Server
    name: str
    project: Project

    def run(self, *arguments: str, environment: str = "here", **variables: str) -> subprocess.CompletedProcess[str]:
        return self.project.run(*arguments, "-e", environment, **variables)

    def execute(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        return self.server.execute(statement, quote(database or self.name))

    def back_up(self) -> Path:
        done = self.run("backup")
        assert done.returncode == 0, done.stderr
        return backups(self.project.folder / "backups")[0].path

    def whole(self, *options: str) -> str:
        """Everything but the ledger, with the database's own properties, as pg_dump of the server writes it."""
        command = [str(self.server.programs / "pg_dump"), "--create", "--exclude-schema=bootstrapper", *options]
        command += [f"--dbname={self.project.url}"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return "\n".join(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))

    def databases(self, like: str = "%") -> list[str]:
        rows = self.server.execute(f"SELECT datname FROM pg_database WHERE datname LIKE '{like}' ORDER BY 1")
        return [str(row[0]) for row in rows]

    @property
    def kept(self) -> list[str]:
        return self.databases(f"{self.name}\\_before\\_%")

    @property
    def half_made(self) -> list[str]:
        return self.databases("bootstrapper\\_restoring\\_%")


@contextmanager
def opened_shop(server: Server, folder: Path, *, options: str = "", content: str = SHOP) -> Iterator[Shop]:
    """A new database that belongs to shop_owner, filled."""
    server.execute(ROLES)
    name = f"shop {os.getpid()} {next(_numbers)}"
    server.execute(f'CREATE DATABASE "{name}" OWNER shop_owner TEMPLATE template0 {options}')
    shop = Shop(server, name, Project(folder, server.url(quote(name))))
    shop.project.write(FILE)
    try:
        if content:
            with psycopg.connect(shop.project.url, autocommit=True) as connection:
                connection.execute(content.encode())
        yield shop
    finally:
        for each in {shop.name, *shop.kept}:
            server.execute(f'DROP DATABASE IF EXISTS "{each}" WITH (FORCE)')
