"""Finds the secrets, by what the file declares and by the names of variables: the masker learns them before
anything runs, so that nothing that runs can show them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bootstrapper.config.document import UnsetVariable, children, expand
from bootstrapper.config.secret_names import is_secret_name, is_secret_variable
from bootstrapper.config.sensitive import VARIABLE, secrets_in
from bootstrapper.masking import Masker
from bootstrapper.plugin.inspect import call_of
from bootstrapper.plugin.value import Value
from bootstrapper.postgres.connection.target import Target

OPEN_KEYS = frozenset({"scheme", "rotate", "name", "secret"})
"""Of the arguments of a value function: what stands beside a secret, and is none itself."""

_SWITCHES = frozenset({"true", "false", "yes", "no", "on", "off", "none", "null", "0", "1"})


def learn_variables(masker: Masker, variables: Mapping[str, str]) -> None:
    """Variables that are named like secrets, whatever they are for, and the passwords in URLs of others."""
    for name, value in variables.items():
        if is_secret_variable(name):
            if value.lower() not in _SWITCHES:
                masker.learn(value)
        elif "://" in value or "=" in value:
            for secret in secrets_in(value):
                masker.learn(secret)


def learn_target(masker: Masker, target: Target) -> None:
    """How we log in. Messages name the database and where it is: a password that is such a name hides nothing there."""
    masker.spare([target.user, target.dbname, *(name for host in target.hosts for name in (host.name, host.address))])
    for secret in target.secrets:
        masker.learn(secret)


def learn_declared(
    masker: Masker, data: Mapping[str, Any], functions: Mapping[str, Value], variables: Mapping[str, str]
) -> None:
    """What stands in the file in the place of a secret: its variables, their defaults, and the text itself.

    Of the rows of fixtures only the variables, since there may be many rows: a secret that is written there is learnt
    when it is used.
    """
    rest = {key: item for key, item in data.items() if key != "fixtures"}
    fixtures = data.get("fixtures")
    texts = dict.fromkeys(_texts(rest, functions, is_secret=False))
    texts |= dict.fromkeys(_texts_of_rows(fixtures, functions) if isinstance(fixtures, Mapping) else ())
    for text in texts:
        for secret in _values(text, variables):
            masker.learn(secret)


def _texts(raw: Any, functions: Mapping[str, Value], *, is_secret: bool) -> Iterator[str]:
    if isinstance(raw, Mapping):
        for key, item in raw.items():
            yield from _of_entry(str(key), item, functions, is_secret=is_secret)
    elif isinstance(raw, list):
        for item in raw:
            yield from _texts(item, functions, is_secret=is_secret)
    elif is_secret and raw is not None and not isinstance(raw, bool):
        yield str(raw)
    elif isinstance(raw, str):
        yield from secrets_in(raw)


def _of_entry(key: str, item: Any, functions: Mapping[str, Value], *, is_secret: bool) -> Iterator[str]:
    if key.startswith("$"):
        yield from _of_call(key, item, functions, is_secret=is_secret)
    elif is_secret:
        yield from _texts(item, functions, is_secret=key not in OPEN_KEYS)
    else:
        names_secret = is_secret_name(key) and not (isinstance(item, Mapping) and call_of(item) is None)
        yield from _texts(item, functions, is_secret=names_secret)


def _of_call(key: str, argument: Any, functions: Mapping[str, Value], *, is_secret: bool) -> Iterator[str]:
    """The argument of a function is a name or a path as often as a secret: only what its variables hold counts."""
    function = functions.get(key)
    if function is None:
        return
    if is_secret or function.is_secret(argument):
        yield from (f"${{{name}}}" for name in function.variables(argument))
    if is_secret and function.verbatim:
        yield from _texts(argument, functions, is_secret=True)
    elif function.secret and not function.is_path_to_secret:
        yield from (text for text in _texts(argument, functions, is_secret=True) if "${" in text)
    else:
        yield from _texts(argument, functions, is_secret=False)


def _texts_of_rows(fixtures: Mapping[str, Any], functions: Mapping[str, Value]) -> Iterator[str]:
    for fixture in fixtures.values():
        if not isinstance(fixture, Mapping):  # wrong, as others say
            continue
        for row in (*children(fixture.get("rows")), fixture.get("defaults")):
            if isinstance(row, Mapping):
                yield from _texts_of_row(row, functions)


def _texts_of_row(row: Mapping[str, Any], functions: Mapping[str, Value]) -> Iterator[str]:
    for column, cell in row.items():
        is_call = type(cell) is dict
        if is_call or (type(cell) is str and "${" in cell and is_secret_name(column)):
            found: Iterable[str] = _texts(cell, functions, is_secret=not is_call)
            yield from (text for text in found if "${" in text)


def _values(text: str, variables: Mapping[str, str]) -> Iterator[str]:
    for match in VARIABLE.finditer(text):
        yield variables.get(match["name"], "")
        if match["kind"] == ":-":
            yield match["rest"].replace("\\}", "}")
    try:
        yield expand(text, variables).text
    except (UnsetVariable, ValueError):  # said where it is needed
        return
