"""Each part that a step returns is what its `apply` gets."""

from __future__ import annotations

import psycopg
import pytest

from tests.plugin.authors import Author

STEP = {
    "changes": """\
found = context.connection.execute("SELECT to_regclass('public.marks')").fetchone()
done = context.connection.execute("SELECT id FROM public.marks").fetchall() if found != (None,) else []
return [Change.create(f"mark {n}") for n in range(3) if (n,) not in done]
""",
    "apply": """\
context.connection.execute("CREATE TABLE IF NOT EXISTS public.marks (id int, part int)")
for change in changes:
    context.connection.execute(
        "INSERT INTO public.marks VALUES (%s, %s)", (int(change.target.split()[1]), len(changes))
    )
""",
}


def marks(author: Author) -> list[tuple[int, int]]:
    with psycopg.connect(author.project.url) as connection:
        return connection.execute("SELECT id, part FROM marks ORDER BY id").fetchall()


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ("[changes]", [(0, 3), (1, 3), (2, 3)]),
        ("[list(changes)[:2], list(changes)[2:]]", [(0, 2), (1, 2), (2, 1)]),
        ("([change] for change in changes)", [(0, 1), (1, 1), (2, 1)]),
        ("[list(reversed(changes))]", [(0, 3), (1, 3), (2, 3)]),
    ],
)
def test_parts_are_applied_as_they_are_returned(author: Author, parts: str, found: list[tuple[int, int]]) -> None:
    author.step(**STEP, more=f"def parts(self, context, changes): return {parts}")
    assert author.run("apply").returncode == 0
    assert marks(author) == found


@pytest.mark.parametrize("parts", ["[list(changes)[:2]]", "[list(changes)[:1], list(changes)[1:2]]"])
def test_a_part_that_is_left_out_is_still_to_make(author: Author, parts: str) -> None:
    author.step(**STEP, more=f"def parts(self, context, changes): return {parts}")
    assert "its own comparison answers no: 1 change still to make" in author.refused("apply")
