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


EACH = "def parts(self, context, changes):\n    "


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ("[changes]", [(0, 3), (1, 3), (2, 3)]),
        ("[list(changes)[:2], list(changes)[2:]]", [(0, 2), (1, 2), (2, 1)]),
        ("([change] for change in changes)", [(0, 1), (1, 1), (2, 1)]),
        ("[list(reversed(changes))]", [(0, 3), (1, 3), (2, 3)]),
        ("None", [(0, 3), (1, 3), (2, 3)]),
    ],
)
def test_parts_are_applied_as_they_are_returned(author: Author, parts: str, found: list[tuple[int, int]]) -> None:
    author.step(**STEP, more=f"def parts(self, context, changes): return {parts}")
    done = author.run("apply")
    assert done.returncode == 0, done.stderr
    assert marks(author) == found


@pytest.mark.parametrize("parts", ["[list(changes)[:2]]", "[list(changes)[:1], list(changes)[1:2]]"])
def test_a_part_that_is_left_out_is_still_to_make(author: Author, parts: str) -> None:
    author.step(**STEP, more=f"def parts(self, context, changes): return {parts}")
    said = author.refused("apply")
    assert f"step 'mark': plugin {author.plugin}: Mark.changes() still finds after apply: create mark 2\n" in said
    assert "Let `changes` find nothing more once `apply` has made all that it found." in said
    assert [n for n, _ in marks(author)] == [0, 1]


def test_without_any_part_apply_is_not_called(author: Author) -> None:
    author.step(**STEP, more="def parts(self, context, changes): return iter(())")
    assert ", and 2 more\n" in author.refused("apply")
    assert author.tables() == []


def test_a_part_is_asked_for_once_the_one_before_it_is_committed(author: Author) -> None:
    body = """
    connection = context.connection
    for change in changes:
        yield [change]
        count, = connection.execute("SELECT count(*) FROM marks").fetchone()
        assert count == int(change.target.split()[1]) + 1, count
    """
    author.step(**STEP, more=f"def parts(self, context, changes):{body}")
    done = author.run("apply")
    assert done.returncode == 0, done.stderr
    assert marks(author) == [(0, 1), (1, 1), (2, 1)]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise KeyError('no luck')", "raised KeyError: 'no luck', line"),
        ("sys.exit(0)", "called sys.exit(0), line"),
        ("yield None", "returned None; it must return parts, each a list of Change and Deferred"),
        ("yield ['x']", "returned a list whose item 1 is str; it must return parts, each a list"),
        ("context.connection.execute('CREATE TABLE sneaked ()')", "cannot execute CREATE TABLE in a read-only"),
        ("context.connection.commit()", "used commit() of the connection"),
    ],
)
def test_what_goes_wrong_after_a_part_is_reported_and_the_next_run_makes_the_rest(
    author: Author, fault: str, said: str
) -> None:
    parts = f"{EACH}yield list(changes)[:1]\n    {fault}\n    yield list(changes)[1:]"
    author.step(**STEP, more=parts)
    assert said in author.refused("apply")
    assert marks(author) == [(0, 1)]
    author.step(**STEP, more=f"{EACH}yield changes")
    assert author.run("apply").returncode == 0
    assert (marks(author), author.tables()) == ([(0, 1), (1, 2), (2, 2)], ["marks"])


def test_parts_that_cannot_be_iterated_are_refused(author: Author) -> None:
    author.step(**STEP, more="def parts(self, context, changes): return 7")
    assert "Mark.parts() returned int; it must return parts, or None" in author.refused("apply")
