"""A scope, parts and a state of plugins behind a pooler that gives each transaction another backend."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.cli.project import Project
from tests.faults.pgbouncer import PgBouncer
from tests.plugin.authors import Author
from tests.servers import Server

PLUGIN = """
from contextlib import contextmanager

class Around(Scope):
    uses = "around"

    @contextmanager
    def around(self, context):
        connection = context.connection
        connection.execute("CREATE TABLE IF NOT EXISTS public.log (id int GENERATED ALWAYS AS IDENTITY, said text)")
        connection.execute("INSERT INTO public.log (said) VALUES ('entered')")
        try:
            yield
        finally:
            connection.execute("INSERT INTO public.log (said) VALUES ('left')")

class Mark(Step):
    uses = "mark"

    def changes(self, context):
        return [Change.create(f"{number}") for number in range(context.state.read() or 0, 3)]

    def parts(self, context, changes):
        connection = context.connection
        for change in changes:
            yield [change]
            assert connection.execute("SELECT max(said) FROM public.log").fetchone() == ("part " + change.target,)

    def apply(self, context, changes):
        (change,) = changes
        context.connection.execute("INSERT INTO public.log (said) VALUES (%s)", (f"part {change.target}",))
        context.state.write(int(change.target) + 1)
        {fault}

@hookimpl
def bootstrapper_steps():
    return [Around, Mark]
"""


@pytest.fixture
def pooled(author: Author, server: Server) -> Iterator[Author]:
    with PgBouncer(server, "transaction") as pooler:
        yield Author(Project(author.project.folder, pooler.url(author.project.url)))


def test_scope_parts_and_state_hold_behind_a_pooler(author: Author, pooled: Author) -> None:
    steps = "- uses: around\n- uses: mark"
    pooled.write(PLUGIN.replace("{fault}", "if change.target == '1': raise KeyError('no luck')"), steps)
    assert "raised KeyError: 'no luck'" in pooled.refused("apply")
    pooled.write(PLUGIN.replace("{fault}", ""), steps)
    done = pooled.run("apply")
    assert done.returncode == 0, done.stderr
    assert pooled.run("plan", "--exit-code").returncode == 0
    with psycopg.connect(author.project.url) as connection:
        said = [row[0] for row in connection.execute("SELECT said FROM log ORDER BY id")]
    assert said == ["entered", "part 0", "left", "entered", "part 1", "part 2", "left"]
