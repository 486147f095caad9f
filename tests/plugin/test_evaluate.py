"""Variables and value functions, nested as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bootstrapper.config.document import UnsetVariable
from bootstrapper.errors import GuardError, Source
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.evaluate import Evaluated, evaluate
from bootstrapper.plugin.inspect import ValueTraits, needs, shown, traits_of
from bootstrapper.plugin.value import Value
from tests.fixtures.contexts import Bench


class Vault(Value):
    """A secret provider, as a plugin would bring it."""

    key = "$vault"
    secret = True

    def resolve(self, context: Context, argument: Any) -> object:
        return f"secret of {argument}"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench("postgresql://nowhere/nothing", tmp_path, variables={"NAME": "ann", "EMPTY": ""})
    bench.values["$vault"] = Vault()
    bench.write("")
    return bench


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("plain", "plain"),
        ("${NAME}", "ann"),
        ("${OTHER:-x} and $${NAME}", "x and ${NAME}"),
        (7, 7),
        (None, None),
        ({"a": ["${NAME}", {"$env": "NAME"}]}, {"a": ["ann", "ann"]}),
        ({"$literal": {"$env": "${NAME}"}}, {"$env": "${NAME}"}),
        ({"$uuid": {"$env": "NAME"}}, "167d760c-c84a-5d43-b644-9ff91f1d8264"),
        ({"$two": 1, "$keys": 2}, {"$two": 1, "$keys": 2}),
    ],
)
def test_variables_and_functions_are_resolved_wherever_they_stand(bench: Bench, raw: object, value: object) -> None:
    assert evaluate(raw, bench.context()) == Evaluated(value)


def test_without_interpolation_only_functions_are_resolved(bench: Bench) -> None:
    raw = ["${NAME}", {"$env": "NAME"}]
    assert evaluate(raw, bench.context(), interpolate=False).value == ["${NAME}", "ann"]


def test_a_secret_is_learnt_and_makes_what_holds_it_a_secret(bench: Bench) -> None:
    found = evaluate({"url": {"$vault": "app/${NAME}"}}, bench.context())
    assert found == Evaluated({"url": "secret of app/ann"}, secret=True)
    assert bench.masker.mask("it is secret of app/ann") == "it is ***"


def test_functions_nest_and_hand_their_traits_on(bench: Bench) -> None:
    raw = {"$password": {"value": {"$vault": "app/admin"}, "scheme": "pbkdf2"}}
    assert traits_of(raw, bench.context().project.values) == ValueTraits(secret=True, create_only=True)
    found = evaluate(raw, bench.context())
    assert (found.secret, found.create_only) == (True, True)
    assert str(found.value).startswith("$pbkdf2-sha256$")


@pytest.mark.parametrize("raw", ["${NOBODY}", {"$env": "NOBODY"}, {"$password": "${NOBODY}"}, ["${NOBODY:?say it}"]])
def test_a_variable_without_a_value_is_named(bench: Bench, raw: object) -> None:
    with pytest.raises(UnsetVariable) as caught:
        evaluate(raw, bench.context())
    assert caught.value.name == "NOBODY"


def test_an_unknown_function_lists_what_there_is_and_points_to_literal(bench: Bench) -> None:
    with pytest.raises(ValueError, match=r"unknown value function \$schema: known are .*\$ref, .* write \{\$literal: "):
        evaluate({"$schema": "x"}, bench.context())


def test_a_reference_has_no_place_inside_another_value(bench: Bench) -> None:
    with pytest.raises(ValueError, match=r"\$ref must be the whole value of a column"):
        evaluate({"$password": {"$ref": "users.admin"}}, bench.context())


def test_functions_that_need_the_database_are_refused_outside_of_fixtures(bench: Bench) -> None:
    with pytest.raises(ValueError, match=r"\$sql needs the database"):
        evaluate({"$sql": "now()"}, bench.context(), database=False)


def test_a_default_is_refused_below_a_secret_only(bench: Bench) -> None:
    bench.default_secrets = False
    assert evaluate("${OTHER:-x}", bench.context()).value == "x"
    with pytest.raises(GuardError, match=r"\$OTHER cannot be used as a secret"):
        evaluate({"$password": {"$uuid": "${OTHER:-x}"}}, bench.context())


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ("plain", ()),
        ("${NAME} ${A} ${B:-b} ${C:?} ${A}", ("A", "C")),
        ({"$password": "${A:-a}"}, ("A",)),
        ({"$env": {"name": "A", "secret": True}}, ("A",)),
        ({"$env": "NAME"}, ()),
        ({"$literal": "${A}"}, ()),
        ({"$ref": {"users": {"email": "${A}"}}}, ("A",)),
        (["${A}", {"b": "${B}"}], ("A", "B")),
        ("${EMPTY}", ()),
        ("${not an expression", ()),
    ],
)
def test_needs_names_variables_without_resolving_anything(bench: Bench, raw: object, names: tuple[str, ...]) -> None:
    bench.default_secrets = False
    assert needs(raw, bench.context()) == names


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"$password": "${A:-admin123}"}, "$password from $A"),
        ({"$password": "admin123"}, "$password"),
        ({"$password": {"$vault": "app/admin"}}, "$password from $vault"),
        ({"$env": {"name": "A", "secret": True}}, "$env from $A"),
        ({"$now": None}, "$now"),
        ("${A}-${B}", "from $A, $B"),
    ],
)
def test_shown_names_the_source_and_never_the_value(bench: Bench, raw: object, text: str) -> None:
    bench.variables["A"] = "hidden"
    assert shown(raw, bench.context()) == text


def test_paths_start_at_the_file_that_names_them(bench: Bench) -> None:
    bench.write("from main", "note")
    bench.write("from overlay\n\n", "config/note")
    overlay = bench.write("", "config/production.yaml")
    context = bench.context()
    assert evaluate({"$file": "note"}, context).value == "from main"
    assert evaluate({"$file": "note"}, context, source=Source(str(overlay), 1, 1)).value == "from overlay\n"
