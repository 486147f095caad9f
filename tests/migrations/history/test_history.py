"""The static reader against Alembic itself, which is the oracle."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import RangeNotAncestorError, RevisionMap
from alembic.script.revision import Revision as OracleRevision

from bootstrapper.api.project import validate
from bootstrapper.errors import InvalidFileError
from bootstrapper.migrations.history.history import BrokenHistory, History
from bootstrapper.migrations.history.revisions import Revision, read_revision
from bootstrapper.migrations.project import layout
from bootstrapper.migrations.project.layout import DynamicProject
from bootstrapper.migrations.settings import MigrationSettings
from tests.migrations.contexts import make_project
from tests.migrations.projects import write_env, write_revision
from tests.projects import TrialProject

URL = "postgresql://nobody@localhost/nowhere"

LINEAR = [("a1", None), ("b2", "a1"), ("c3", "b2")]
BRANCHES = [("root", None), ("left", "root"), ("right", "root"), ("right2", "right")]
MERGED = [*BRANCHES, ("merge", ("right2", "left")), ("after", "merge")]


def write(directory: Path, *revisions: tuple[object, ...]) -> None:
    write_env(directory)
    for name, down, *more in revisions:
        write_revision(directory, str(name), down, **(more[0] if more else {}))  # type: ignore[arg-type]


def ours(directory: Path, **options: object) -> History:
    settings = MigrationSettings.model_validate({"script_location": "migrations", **options})
    found = layout.read(settings, make_project(directory, URL))
    return History(read_revision(file) for file in found.revision_files())


def oracle(directory: Path) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(directory / "migrations"))
    return ScriptDirectory.from_config(config)


def expected_pending(scripts: ScriptDirectory | RevisionMap, rows: tuple[str, ...], target: str) -> list[str]:
    found = list(scripts.iterate_revisions(target, rows or "base", implicit_base=True))  # type: ignore[arg-type]
    return [revision.revision for revision in reversed(found)]


def pending(history: History, rows: tuple[str, ...], target: str) -> list[str]:
    return [revision.id for revision in history.pending(rows, history.targets(target))]


HISTORIES = {
    "linear": LINEAR,
    "branches": BRANCHES,
    "merged": MERGED,
    "several bases": [("one", None), ("two", None), ("three", "two")],
    "labels": [("root", None, {"labels": ["main"]}), ("left", "root", {"labels": ["blue"]}), ("right", "root")],
    "depends_on": [
        ("users1", None, {"labels": ["users"]}),
        ("users2", "users1"),
        ("bills1", None, {"labels": ["bills"], "depends": ["users1"]}),
        ("bills2", "bills1", {"depends": ["users2"]}),
        ("users3", "users2"),
    ],
    "depends_on a label": [("core1", None, {"labels": ["core"]}), ("extra1", None, {"depends": ["core"]})],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_heads_and_pending_revisions_are_ordered_as_by_alembic(tmp_path: Path, name: str) -> None:
    write(tmp_path, *HISTORIES[name])
    history, scripts = ours(tmp_path), oracle(tmp_path)
    assert sorted(history.heads) == sorted(scripts.get_heads())
    assert pending(history, (), "heads") == expected_pending(scripts, (), "heads")
    for revision in history.revisions:
        assert pending(history, (revision,), "heads") == expected_pending(scripts, (revision,), "heads")
        assert pending(history, (), revision) == expected_pending(scripts, (), revision)


def test_a_branch_label_narrows_the_heads_as_alembic_does(tmp_path: Path) -> None:
    write(tmp_path, *HISTORIES["depends_on"])
    history, scripts = ours(tmp_path), oracle(tmp_path)
    for target in ("users@head", "bills@head", "users@heads", "users", "bills@bills1", "user", "users2"):
        try:
            expected = expected_pending(scripts, (), target)
        except Exception:  # noqa: BLE001 - Alembic's own kinds of refusal
            with pytest.raises(BrokenHistory):
                history.targets(target)
        else:
            assert pending(history, (), target) == expected


def random_history(rng: random.Random, dependencies: int) -> list[Revision]:
    names = [f"r{number:03}" for number in range(rng.randint(1, 14))]
    revisions = []
    for position, name in enumerate(names):
        down = rng.sample(names[:position], min(position, rng.choice([0, 1, 1, 1, 1, 2])))
        others = [other for other in names[:position] if other not in down]
        depends = rng.sample(others, min(len(others), rng.choice([0, 0, dependencies])))
        revisions.append(Revision(name, tuple(down), tuple(depends)))
    rng.shuffle(revisions)
    return revisions


def as_oracle(revisions: list[Revision]) -> RevisionMap:
    return RevisionMap(
        lambda: [OracleRevision(item.id, item.down or None, dependencies=item.depends or None) for item in revisions]
    )


@pytest.mark.parametrize("seed", range(150))
def test_random_histories_are_sorted_as_by_alembic(seed: int) -> None:
    rng = random.Random(seed)
    revisions = random_history(rng, dependencies=1)
    history, scripts = History(revisions), as_oracle(revisions)
    drawn = rng.sample(sorted(history.revisions), min(len(revisions), rng.randint(0, 2)))
    rows = tuple(row for row in drawn if not any(history.includes([other], row) for other in drawn if other != row))
    assert set(history.heads) == set(scripts.heads)
    assert pending(history, rows, "heads") == expected_pending(scripts, rows, "heads")


@pytest.mark.parametrize("seed", range(30))
def test_with_several_dependencies_the_order_is_valid_for_alembic(seed: int) -> None:
    """Alembic itself takes them out of a set there, so that its order changes from process to process."""
    rng = random.Random(seed)
    revisions = random_history(rng, dependencies=3)
    history, scripts = History(revisions), as_oracle(revisions)
    found = pending(history, (), "heads")
    assert sorted(found) == sorted(expected_pending(scripts, (), "heads"))
    for revision in revisions:
        assert all(found.index(other) < found.index(revision.id) for other in (*revision.down, *revision.depends))


@pytest.mark.parametrize("seed", range(150))
def test_a_downgrade_reverts_the_same_revisions_as_alembic(seed: int) -> None:
    rng = random.Random(seed)
    revisions = random_history(rng, dependencies=1)
    history, scripts = History(revisions), as_oracle(revisions)
    rows = history.rows_after((), history.heads)
    target = rng.choice([None, *history.revisions])
    try:
        expected = list(scripts.iterate_revisions(rows, target or "base", select_for_downgrade=True))
    except RangeNotAncestorError:
        with pytest.raises(BrokenHistory, match="has no successor on its own branch"):
            history.undone(rows, target)
        return
    found = [revision.id for revision in history.undone(rows, target)]
    assert found == [revision.revision for revision in expected]


def test_relative_steps_require_a_history_without_branches(tmp_path: Path) -> None:
    write(tmp_path, *MERGED)
    history = ours(tmp_path)
    assert history.below(("right2",), 2) == "root"
    assert history.below(("right2",), 3) is None
    assert history.above(("merge",), 1) == "after"
    line = History([Revision("a"), Revision("b", ("a",)), Revision("c", ("b",))])
    assert [line.above((), steps) for steps in (1, 2, 3)] == ["a", "b", "c"]
    for wrong in (lambda: history.below(("after",), 2), lambda: history.above(("root",), 1)):
        with pytest.raises(BrokenHistory, match="name the target revision"):
            wrong()


def test_rows_of_other_branches_are_beside_a_revision() -> None:
    history = History([Revision("a"), Revision("b", ("a",)), Revision("c", ("a",)), Revision("d")])
    assert history.beside(("b", "d", "gone"), ("c",)) == ("b", "d")
    assert history.beside(("a", "d"), ("c",)) == ("d",)
    assert history.beside(("c",), ("a",)) == ()


def test_rows_after_an_upgrade_are_revisions_without_a_successor() -> None:
    history = History([Revision("a"), Revision("b", ("a",)), Revision("c", ("a",)), Revision("d", depends=("b",))])
    assert history.rows_after((), ("b",)) == ("b",)
    assert history.rows_after(("b",), ("c",)) == ("b", "c")
    assert history.rows_after(("b", "c"), ("d",)) == ("c", "d")


def test_two_heads_are_ambiguous_for_head() -> None:
    history = History([Revision("a"), Revision("b")])
    with pytest.raises(BrokenHistory, match="2 heads: a, b"):
        history.targets("head")


def test_a_missing_parent_is_named() -> None:
    with pytest.raises(BrokenHistory, match="revision b follows a, which does not exist"):
        History([Revision("b", ("a",))])


def test_a_missing_parent_is_reported_in_the_file_of_its_revision(tmp_path: Path) -> None:
    write_env(tmp_path)
    file = write_revision(tmp_path, "b", "nosuch")
    project = TrialProject(tmp_path, "postgresql://nowhere/nothing")
    project.write("steps: [{uses: lock}, {uses: migrate, with: {script_location: migrations}}]\n")
    with pytest.raises(InvalidFileError) as caught:
        validate(project.request())
    (problem,) = caught.value.problems
    line = file.read_text().splitlines().index("down_revision = 'nosuch'") + 1
    assert str(problem) == f"migrations/versions/b_.py:{line}:1: revision b follows nosuch, which does not exist"
    assert problem.hint == "Correct its down_revision, or add the missing file."


def test_a_dependency_cycle_is_refused() -> None:
    with pytest.raises(BrokenHistory, match="dependency cycle of revisions"):
        History([Revision("root"), Revision("a", ("b",)), Revision("b", ("a",))])


def test_the_same_identifier_in_two_files_is_refused() -> None:
    with pytest.raises(BrokenHistory, match="revision a is declared by two files"):
        History([Revision("a"), Revision("a")])


STYLES = {
    "annotated": 'revision: str = "x1"\ndown_revision: "str | None" = None\nbranch_labels = None\ndepends_on = None\n',
    "commented": "revision = 'x1'  # the first\ndown_revision = None\nbranch_labels = None\ndepends_on = None\n",
    "short": 'revision = "x1"\ndown_revision = None\n',
    "on several lines": 'revision = (\n    "x1"\n)\ndown_revision = None\nbranch_labels = (\n    "one",\n    "b",\n)\n',
    "below the functions": "def upgrade():\n    pass\n\nrevision = 'x1'\ndown_revision = None\n",
    "named again in SQL": 'revision = "x1"\ndown_revision = None\nSQL = """\ndown_revision = \'no\'\n"""\n',
    "with windows line ends": "revision = 'x1'\r\ndown_revision = None\r\nbranch_labels = None\r\ndepends_on=None\r\n",
    "a list": 'revision = "x1"\ndown_revision = []\nbranch_labels = ["one"]\ndepends_on = []\n',
    "chained": 'revision = "x1"\ndown_revision = depends_on = None\n',
    "named in a comment below": 'revision = "x1"\ndown_revision = None\nbranch_labels = None\ndepends_on = None\n'
    "# down_revision = 'no'\n",
    "used below": 'revision = "x1"\ndown_revision = None\nbranch_labels = None\ndepends_on = None\n'
    "TITLE = f'{revision} after {down_revision}'\n",
}


@pytest.mark.parametrize("style", STYLES)
def test_every_way_to_write_a_revision_is_read_as_alembic_reads_it(tmp_path: Path, style: str) -> None:
    write_env(tmp_path)
    file = tmp_path / "migrations/versions/x1_.py"
    text = f'"""Title\nof it\n\nRevision ID: no\ndown_revision = "no"\n"""\n{STYLES[style]}'
    if "def upgrade" not in text:
        text += "\ndef upgrade():\n    revision = 'other'\n"
    file.write_bytes(text.encode())
    found, script = read_revision(file), oracle(tmp_path).get_revision("x1")
    assert script is not None
    assert (found.id, found.down, found.message) == ("x1", (), "Title of it")
    assert set(found.labels) == script.branch_labels


@pytest.mark.parametrize(
    "text",
    [
        'revision = "x" + "1"\ndown_revision = None\n',
        "from names import revision\ndown_revision = None\n",
        'from names import *\nrevision = "x1"\ndown_revision = None\n',
        'revision = "x1"\nif True:\n    down_revision = "other"\nelse:\n    down_revision = None\n',
        "down_revision = None\n",
        "revision = \n",
    ],
)
def test_a_file_that_computes_its_identifiers_is_left_to_alembic(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x1_.py"
    file.write_text(text)
    with pytest.raises(DynamicProject):
        read_revision(file)


WRITTEN_BY_THE_TEMPLATE = (
    '"""Title"""\n\n# revision identifiers, used by Alembic.\nrevision = "x1"\ndown_revision = None\n'
    "branch_labels = None\ndepends_on = None\n\n\ndef upgrade():\n    pass\n\n\n"
)


@pytest.mark.parametrize(
    "below",
    [
        'if True:\n    down_revision = "again"\n',
        'down_revision, revision = "again", "x1"\n',
        'revision += "y"\n',
        "del down_revision\n",
        "from names import *\n",
        "from names import other as down_revision\n",
        'def rename():\n    global down_revision\n    down_revision = "again"\n\n\nrename()\n',
        'globals()["down_revision"] = "again"\n',
        "exec(\"down_revision = 'again'\")\n",
    ],
)
def test_an_assignment_below_the_functions_is_left_to_alembic(tmp_path: Path, below: str) -> None:
    file = tmp_path / "x1_.py"
    file.write_text(WRITTEN_BY_THE_TEMPLATE + below)
    with pytest.raises(DynamicProject):
        read_revision(file)


@pytest.mark.parametrize(
    "again",
    [
        'down_revision = "again"\n',
        'TITLE = ""; down_revision = "again"\n',
        'down_revision = str(None)\ndown_revision = "again"\n',
    ],
)
def test_the_last_of_several_assignments_applies(tmp_path: Path, again: str) -> None:
    write(tmp_path, ("again", None))
    file = tmp_path / "migrations/versions/x1_.py"
    above = WRITTEN_BY_THE_TEMPLATE.replace("depends_on = None\n", f"depends_on = None\n{again}")
    for text in (WRITTEN_BY_THE_TEMPLATE + again, above):
        file.write_text(text)
        script = oracle(tmp_path).get_revision("x1")
        assert script is not None
        assert script.down_revision == "again"
        assert read_revision(file).down == ("again",)


def test_the_file_name_is_the_identifier_of_an_old_file_without_one(tmp_path: Path) -> None:
    file = tmp_path / "1a2b3c.py"
    file.write_text("down_revision = None\n")
    assert read_revision(file).id == "1a2b3c"


def test_what_was_read_of_the_same_content_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "1a2b3c.py"
    file.write_text(WRITTEN_BY_THE_TEMPLATE)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    found = read_revision(file, digest)
    file.unlink()
    assert read_revision(file, digest) is found
    with pytest.raises(InvalidFileError):
        read_revision(file)
