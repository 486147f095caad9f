"""The fixtures, options and marker that pytest finds through the entry point of the package."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from bootstrapper.pytest_plugin import plain_imports
from bootstrapper.pytest_plugin import wanted as asked
from bootstrapper.pytest_plugin.database import BootstrapDatabase
from bootstrapper.pytest_plugin.sharing import NotMadeError

if TYPE_CHECKING:  # loaded when a fixture is used
    from _pytest.fixtures import SubRequest

    from bootstrapper.pytest_plugin.empty import EmptyDatabases
    from bootstrapper.pytest_plugin.template import BootstrapTemplate
    from bootstrapper.pytest_plugin.templates import Templates

_SHARED = pytest.StashKey[dict[asked.Wanted, BootstrapDatabase]]()
_OURS = ("bootstrap_template", "bootstrap_database")
_MARKER = (
    f"{asked.MARKER}(file=..., environment=..., scope=...): the file and environment that the fixture "
    "bootstrap_database is bootstrapped from, and what shares it"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    asked.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    plain_imports.begin()


def pytest_unconfigure() -> None:
    plain_imports.end()


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Shows a failing comparison without the password, which the difference of two texts would hold."""
    if isinstance(left, BootstrapDatabase) or isinstance(right, BootstrapDatabase):
        return [f"{left!r} {op} {right!r}"]
    return None


def _scope(fixture_name: str, config: pytest.Config) -> asked.Scope:
    return asked.configured_scope(config)


@pytest.fixture(scope="session")
def _bootstrap_templates(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    from bootstrapper.pytest_plugin.templates import Templates  # noqa: PLC0415 - loads the engine and psycopg

    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if hasattr(pytestconfig, "workerinput") else folder
    templates = Templates(shared, recreate=pytestconfig.getoption("bootstrap_recreate"))
    yield templates
    templates.close()


@pytest.fixture(scope="session")
def bootstrap_template(pytestconfig: pytest.Config, _bootstrap_templates: Templates) -> BootstrapTemplate:
    """The template database of the configured file and environment, made if its inputs have changed."""
    with _reported():
        return _bootstrap_templates.template(asked.configured(pytestconfig))


@pytest.fixture(scope=_scope)
def bootstrap_database(request: pytest.FixtureRequest, _bootstrap_templates: Templates) -> Iterator[BootstrapDatabase]:
    """A database of its own, bootstrapped from the file: its URL, which is also a plain string."""
    node, config = request.node, request.config
    wanted, owner = asked.wanted_by(node, config), _owner(node, asked.scope_of(node, config))
    with ExitStack() as stack:
        with _reported():
            if owner is node:
                database = stack.enter_context(_bootstrap_templates.clone(wanted))
            else:
                database = _shared(owner, wanted, _bootstrap_templates)
        yield database


@pytest.fixture(scope="session")
def _bootstrap_empty_databases(pytestconfig: pytest.Config) -> Iterator[EmptyDatabases]:
    from bootstrapper.pytest_plugin.empty import EmptyDatabases  # noqa: PLC0415 - loads psycopg

    databases = EmptyDatabases(asked.configured(pytestconfig))
    yield databases
    databases.close()


@pytest.fixture
def bootstrap_new_database(_bootstrap_empty_databases: EmptyDatabases) -> Iterator[Callable[[], BootstrapDatabase]]:
    """Makes empty databases, for tests of plugins; they are dropped after the test."""
    with ExitStack() as stack:

        def make() -> BootstrapDatabase:
            with _reported():
                return stack.enter_context(_bootstrap_empty_databases.new())

        yield make


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: SubRequest) -> Generator[None, object, object]:
    """Lets a fixture of ours that failed fail again, instead of repeating its long error for each test."""
    try:
        return (yield)
    except pytest.fail.Exception:
        if fixturedef.argname in _OURS:
            fixturedef.finish(request)
        raise


def _owner(node: pytest.Item | pytest.Collector, scope: str) -> pytest.Item | pytest.Collector:
    """Returns the node whose tests share a database; the test itself where there is none, as without a class."""
    kinds: dict[str, type[pytest.Collector]] = {
        "class": pytest.Class,
        "module": pytest.Module,
        "package": pytest.Package,
        "session": pytest.Session,
    }
    kind = kinds.get(scope)
    return (node.getparent(kind) if kind is not None else None) or node


def _shared(owner: pytest.Item | pytest.Collector, wanted: asked.Wanted, templates: Templates) -> BootstrapDatabase:
    """Returns the database of a class, module or session, made for its first test and dropped after its last."""
    databases = owner.stash.setdefault(_SHARED, {})
    if wanted not in databases:
        stack = ExitStack()
        databases[wanted] = stack.enter_context(templates.clone(wanted))
        owner.addfinalizer(stack.close)
    return databases[wanted]


@contextmanager
def _reported() -> Iterator[None]:
    """Fails the test without a traceback: the reason is in the project, not in the code that calls."""
    try:
        yield
    except NotMadeError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
