"""Tells what a value of the file calls and reads, without resolving anything: `${NAME}` and `{$key: argument}`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from bootstrapper.config.document import MalformedExpression, UnsetVariable, children, expand
from bootstrapper.config.files import require_regular
from bootstrapper.config.sensitive import hidden
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import Problem, Source
from bootstrapper.masking import MASK
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.value import Value
from bootstrapper.text import FILE, nearest

REFERENCE = "$ref"
"""A reference, which only fixtures resolve; named here because it is not a value function."""


def call_of(raw: object) -> tuple[str, Any] | None:
    """Returns the key and the argument if `raw` calls a value function or is a reference."""
    if type(raw) is str or type(raw) is list:  # by far the most; isinstance of Mapping takes ten times as long
        return None
    if (type(raw) is dict or isinstance(raw, Mapping)) and len(raw) == 1:
        key, argument = next(iter(raw.items()))
        if isinstance(key, str) and key.startswith("$"):
            return key, argument
    return None


def is_plain(raw: object, *, interpolate: bool) -> bool:
    """Returns whether `raw` is plain data: no variable and no function anywhere in it."""
    if isinstance(raw, str):
        return not (interpolate and "$" in raw)
    if isinstance(raw, dict):
        has_call = any(isinstance(key, str) and key.startswith("$") for key in raw)
        return not has_call and all(is_plain(item, interpolate=interpolate) for item in raw.values())
    if isinstance(raw, list):
        return all(is_plain(item, interpolate=interpolate) for item in raw)
    return not isinstance(raw, Mapping)


def function_of(key: str, values: Mapping[str, Value]) -> Value:
    function = values.get(key)
    if function is not None:
        return function
    if key == REFERENCE:
        raise ValueError(f"{REFERENCE} must be the whole value of a column of a fixture")
    known = sorted({*values, REFERENCE})
    near = nearest(key, known)
    meant = f"did you mean {near}?" if near else f"known are {', '.join(known)};"
    raise ValueError(f"unknown value function {key}: {meant} write {{$literal: {{{key}: ...}}}} for plain data")


def require_no_call(raw: Mapping[Any, Any], values: Collection[str]) -> None:
    """Raises ValueError where plain data has the key of a value function: its call has no other key beside it."""
    key = next((key for key in raw if key == REFERENCE or key in values), None)
    if key is not None:
        others = ", ".join(str(other) for other in raw if other != key)
        plain = f"write {{$literal: {{{key}: ..., {others}: ...}}}} for plain data"
        raise ValueError(f"{key} cannot have another key beside it ({others}); {plain}")


@dataclass(frozen=True)
class ValueTraits:
    """What is known of a value before it is resolved."""

    secret: bool = False
    create_only: bool = False
    needs_database: bool = False
    compared: bool = False
    """Whether `holds` compares existing rows."""


_PLAIN = ValueTraits()


def traits_of(raw: object, values: Mapping[str, Value]) -> ValueTraits:
    """Returns the traits of all functions in `raw`; raises ValueError if one is unknown, or compared inside another."""
    if not isinstance(raw, Mapping | list):
        return _PLAIN
    _require_whole_calls(raw, values)
    calls = [(function_of(key, values), argument) for key, argument in _calls(raw, values)]
    compared = [function.is_compared(argument) for function, argument in calls]
    if any(compared[0 if call_of(raw) is None else 1 :]):
        raise ValueError("a function that is compared with existing rows must be the whole value of its column")
    return ValueTraits(
        compared=any(compared),
        secret=any(function.is_secret(argument) for function, argument in calls),
        create_only=any(function.create_only for function, _ in calls),
        needs_database=any(function.needs_database for function, _ in calls),
    )


def _calls(raw: object, values: Mapping[str, Value]) -> Iterator[tuple[str, Any]]:
    """Yields all calls in `raw`, outermost first; none inside an argument that is taken verbatim."""
    call = call_of(raw)
    if call is not None:
        yield call
        function = values.get(call[0])
        if function is None or not function.verbatim:
            yield from _calls(call[1], values)
    else:
        for item in children(raw):
            yield from _calls(item, values)


def _require_whole_calls(raw: object, values: Mapping[str, Value]) -> None:
    """Raises ValueError where a mapping outside a verbatim argument is a call and something else at once."""
    call = call_of(raw)
    function = values.get(call[0]) if call else None
    if function is not None and function.verbatim:
        return
    if call is None and isinstance(raw, Mapping):
        require_no_call(raw, values)
    for item in children(raw):
        _require_whole_calls(item, values)


def problem_with_value(error: ValueError, source: Source) -> Problem:
    """Returns what `evaluate` raised as a problem of the file."""
    return Problem(str(error), source, error.hint if isinstance(error, UnsetVariable | MalformedExpression) else None)


def may_change(raw: object, values: Mapping[str, Value]) -> bool:
    """Returns whether any function in `raw` may give another result when it is resolved again."""
    functions = [values[key] for key, _ in _calls(raw, values) if key in values]
    return any(not function.constant for function in functions)


def runs_program(raw: object, values: Mapping[str, Value]) -> bool:
    """Returns whether any function in `raw` starts a program."""
    return any(key in values and values[key].runs_program for key, _ in _calls(raw, values))


def needs(raw: object, context: RunContext, folder: Callable[[], Path] | None = None) -> tuple[str, ...]:
    """Returns the names of variables that `raw` needs and that are not set here, and what its files lack.

    A variable whose default is refused counts as not set. A file in the place of a secret must not be empty.

    Args:
        folder: Where relative paths start, if that is not the folder of the configuration.
    """
    found: list[str] = []
    for text, in_secret in _texts(raw, context, in_secret=False):
        found += _unset(text, context, in_secret=in_secret)
    for key, argument in _calls(raw, context.project.values):
        function = context.project.values.get(key)
        names = function.variables(argument) if function else ()
        found += [name for name in names if name not in context.project.variables]
    found += _lacking_files(raw, context, folder or (lambda: context.project.directory), in_secret=False)
    return tuple(dict.fromkeys(found))


def _lacking_files(raw: object, context: RunContext, folder: Callable[[], Path], *, in_secret: bool) -> Iterator[str]:
    call = call_of(raw)
    function = context.project.values.get(call[0]) if call else None
    if call is None or function is None:
        for item in children(raw):
            yield from _lacking_files(item, context, folder, in_secret=in_secret)
        return
    for written in function.files(call[1]):
        try:
            path = expand(written, context.project.variables).text
        except ValueError:  # its variable is named already, or it is malformed
            continue
        if lack := _lack(folder() / path, may_be_empty=not in_secret):
            yield f"{FILE}{path} {lack}"
    if not function.verbatim:
        yield from _lacking_files(call[1], context, folder, in_secret=in_secret or function.secret)


def _lack(path: Path, *, may_be_empty: bool) -> str:
    """Returns what is wrong with a file; nothing if it can be read."""
    try:
        require_regular(path)
        with path.open("rb") as file:
            first = file.read(3)
    except FileNotFoundError:
        return "does not exist"
    except OSError:
        return "cannot be read"
    return "" if may_be_empty or first not in (b"", b"\n", b"\r\n") else "is empty"


def _texts(raw: object, context: RunContext, *, in_secret: bool) -> Iterator[tuple[str, bool]]:
    """Yields every text with variables in it, and whether it is part of a secret."""
    call = call_of(raw)
    function = context.project.values.get(call[0]) if call else None
    if isinstance(raw, str):
        yield raw, in_secret
    elif call and function:
        if not function.verbatim:
            yield from _texts(call[1], context, in_secret=function.hides_argument(call[1], in_secret=in_secret))
    else:
        for item in children(raw):
            yield from _texts(item, context, in_secret=in_secret)


def _unset(text: str, context: RunContext, *, in_secret: bool) -> list[str]:
    variables, found = dict(context.project.variables), []
    while "$" in text:
        try:
            expansion = expand(text, variables)
        except UnsetVariable as error:
            if error.name in found:
                break
            found.append(error.name)
            variables[error.name] = "-"  # stands in so that the next one is found
            continue
        except ValueError:  # malformed: reported when it is evaluated
            break
        if in_secret and not context.project.default_secrets:
            found += expansion.defaulted
        break
    return found


def variables(raw: object, context: RunContext, *, interpolate: bool = True) -> tuple[str, ...]:
    """Returns the names of all variables that `raw` reads, set or not."""
    found: list[str] = []
    for text, _ in _texts(raw, context, in_secret=False) if interpolate else ():
        found += _used(text)
    for key, argument in _calls(raw, context.project.values):
        function = context.project.values.get(key)
        found += function.variables(argument) if function else ()
    return tuple(dict.fromkeys(found))


def shown(raw: object, context: RunContext, *, interpolate: bool = True) -> str:
    """Returns the source of the value, such as `$password from $SUPERADMIN_PASSWORD`; a mask if it has none."""
    calls = list(_calls(raw, context.project.values))
    names = variables(raw, context, interpolate=interpolate)
    sources = [*(key for key, _ in calls[1:]), *(f"${name}" for name in names)]
    outer = calls[0][0] if calls else ""
    if not outer:
        return f"from {', '.join(sources)}" if sources else MASK
    return f"{outer} from {', '.join(sources)}" if sources else outer


def written(raw: object, context: RunContext) -> str:
    """Returns a value that may hold secrets as the file writes it, for display: `${NAME}` stays as it is."""
    return shown(raw, context) if call_of(raw) is not None else hidden(str(raw))


def _used(text: str) -> list[str]:
    if "$" not in text:
        return []
    variables: dict[str, str] = {}
    while True:
        try:
            return list(expand(text, variables).used)
        except UnsetVariable as error:
            if error.name in variables:
                return list(variables)
            variables[error.name] = "-"  # its value does not matter, only its name
        except ValueError:
            return list(variables)
