"""What a database holds after the migrations: the same after two ways to run them, or one of them is wrong."""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass

import psycopg
from psycopg import sql

from tests.servers import Server

# Random since 15.14 (\restrict), and the versions of server and client.
_NOISE = re.compile(rb"\\(un)?restrict |-- Dumped (by|from) ")
_VERSION_TABLES = """
SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relname ~ 'alembic' ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Truth:
    """Attributes:
    schema: SHA-256 of the schema without the ledger's.
    versions: The rows of each version table.
    """

    schema: str
    tables: int
    versions: tuple[tuple[str, tuple[str, ...]], ...]

    def __str__(self) -> str:
        rows = "; ".join(f"{table}: {', '.join(rows)}" for table, rows in self.versions)
        return f"{self.tables} tables, schema {self.schema[:12]}, {rows or 'no version'}"


def read_truth(server: Server, database: str) -> Truth:
    options = ["--schema-only", "--no-owner", "--no-privileges", "--exclude-schema=bootstrapper"]
    dump = [str(server.programs / "pg_dump"), *options, "-d", server.url(database)]
    found = subprocess.run(dump, check=True, capture_output=True)
    lines = [line for line in found.stdout.splitlines() if not _NOISE.match(line)]
    tables = sum(line.startswith(b"CREATE TABLE ") for line in lines)
    return Truth(hashlib.sha256(b"\n".join(lines)).hexdigest(), tables, read_versions(server.url(database)))


def read_versions(url: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    with psycopg.connect(url) as connection:
        found = []
        for schema, table in connection.execute(_VERSION_TABLES.encode()).fetchall():
            query = sql.SQL("SELECT version_num FROM {} ORDER BY 1").format(sql.Identifier(schema, table))
            found.append((f"{schema}.{table}", tuple(row[0] for row in connection.execute(query))))
    return tuple(found)
