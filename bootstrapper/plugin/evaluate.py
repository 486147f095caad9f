"""Turns what the file wrote in a scalar place into its value: `${NAME}` and `{$key: argument}`, nested as they are.

Nothing is resolved before it is needed: `needs` and `shown` look without resolving anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bootstrapper.config.document import MalformedExpression, UnsetVariable, expand
from bootstrapper.config.run_cache import Kept
from bootstrapper.config.sensitive import hidden
from bootstrapper.errors import GuardError, Problem, Source
from bootstrapper.masking import MASK
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.value import Value
from bootstrapper.postgres.connection.settings import LEND_PATH, lent
from bootstrapper.text import nearest

_Comparison = tuple[str, str, str | None]
_COMPARED = Kept[_Comparison, bool]()
"""Whether a stored text is what a function stands for, by function, argument and text."""

REFERENCE = "$ref"
"""The grammar of fixtures, which only they can resolve; known here so that nobody takes it for a value function."""


@dataclass(frozen=True)
class Evaluated:
    """A value and how it may be treated.

    Attributes:
        secret: Never to be shown; the masker knows it.
        create_only: Written when a row is created, never compared.
    """

    value: object
    secret: bool = False
    create_only: bool = False


def call_of(raw: object) -> tuple[str, Any] | None:
    """The key and the argument where `raw` calls a value function or is a reference."""
    if isinstance(raw, Mapping) and len(raw) == 1:
        key, argument = next(iter(raw.items()))
        if isinstance(key, str) and key.startswith("$"):
            return key, argument
    return None


def is_plain(raw: object, *, interpolate: bool) -> bool:
    """Whether `raw` stands for itself: no variable and no function anywhere in it."""
    if isinstance(raw, str):
        return not (interpolate and "$" in raw)
    if isinstance(raw, dict):
        has_call = any(isinstance(key, str) and key.startswith("$") for key in raw)
        return not has_call and all(is_plain(item, interpolate=interpolate) for item in raw.values())
    if isinstance(raw, list):
        return all(is_plain(item, interpolate=interpolate) for item in raw)
    return not isinstance(raw, Mapping)


def evaluate(
    raw: object,
    context: RunContext,
    *,
    interpolate: bool = True,
    database: bool = True,
    source: Source | None = None,
) -> Evaluated:
    """The value that `raw` stands for.

    Args:
        raw: What the file wrote, with its variables.
        context: Gives variables and value functions; its masker learns every secret.
        interpolate: Whether `${NAME}` means anything here; not in data files.
        database: Whether functions that ask the database may be used here.
        source: Where it is written; relative paths in it start at the folder of that file.

    Raises:
        UnsetVariable: A variable has neither value nor default.
        ValueError: An unknown function, or one that has no value for its argument.
        GuardError: A default stands in for a secret where only real secrets may be used.
    """
    if not isinstance(raw, Mapping | list):  # only functions know paths
        return _Evaluation(context, interpolate, database).of(raw, in_secret=False)
    return _Evaluation(_beside(context, source), interpolate, database).of(raw, in_secret=False)


def _beside(context: RunContext, source: Source | None) -> RunContext:
    """The context as an overlay in another folder sees it."""
    folder = beside(context, source)
    if folder == context.project.directory:
        return context
    return replace(context, project=replace(context.project, directory=folder))


def beside(context: RunContext, source: Source | None) -> Path:
    """The folder where relative paths start that are written at a place."""
    file = Path(source.file).absolute() if source else None
    return file.parent if file and file.is_file() else context.project.directory


@dataclass(frozen=True)
class _Evaluation:
    context: RunContext
    interpolate: bool
    database: bool

    def of(self, raw: object, *, in_secret: bool) -> Evaluated:
        if isinstance(raw, str):
            return Evaluated(self._text(raw, in_secret=in_secret))
        call = call_of(raw)
        if call is not None:
            return self._call(*call, in_secret=in_secret)
        if isinstance(raw, Mapping):
            require_no_call(raw, self.context.project.values)
            return _joined(raw, {key: self.of(item, in_secret=in_secret) for key, item in raw.items()})
        if isinstance(raw, list):
            return _joined(raw, dict(enumerate(self.of(item, in_secret=in_secret) for item in raw)))
        return Evaluated(raw)

    def _text(self, text: str, *, in_secret: bool) -> str:
        if not self.interpolate or "$" not in text:
            return text
        expansion = expand(text, self.context.project.variables)
        if in_secret and expansion.defaulted and not self.context.project.default_secrets:
            raise _refused_default(expansion.defaulted)
        if any("\ud800" <= letter <= "\udfff" for letter in expansion.text):
            raise ValueError(f"{', '.join(f'${name}' for name in expansion.used)} is no text in UTF-8")
        return expansion.text

    def _call(self, key: str, argument: object, *, in_secret: bool) -> Evaluated:
        function = _function(key, self.context.project.values)
        if function.needs_database and not self.database:
            raise ValueError(f"{key} needs the database and can only be used in fixtures")
        secret = function.is_secret(argument)
        inner = Evaluated(argument) if function.verbatim else self.of(argument, in_secret=in_secret or secret)
        lends = function.needs_database and function.borrows_session
        with lent(self.context.connection, LEND_PATH) if lends else nullcontext():
            value = function.resolve(Context(self.context), inner.value)
        if isinstance(value, str) and function.is_compared(argument):
            self.context.project.cache.of(_COMPARED)[_comparison(key, inner.value, value)] = True
        if secret and isinstance(value, str):
            self.context.masker.learn(value)
        return Evaluated(value, secret or inner.secret, function.create_only or inner.create_only)


def holds(
    raw: object, stored: str | None, context: RunContext, *, interpolate: bool = True, source: Source | None = None
) -> bool:
    """Whether a stored text is what the call `raw` stands for; arguments and errors as of `evaluate`.

    The answer is kept for the run: it takes long by design, and the step's comparison is made several times.
    """
    call = call_of(raw)
    assert call is not None
    function, seen = _function(call[0], context.project.values), _beside(context, source)
    inner = call[1]
    if not function.verbatim:
        secret = function.is_secret(call[1])
        inner = _Evaluation(seen, interpolate, database=True).of(call[1], in_secret=secret).value
    comparison, known = _comparison(call[0], inner, stored), context.project.cache.of(_COMPARED)
    if comparison not in known:
        known[comparison] = function.holds(Context(seen), inner, stored)
    return known[comparison]


def _comparison(key: str, argument: object, stored: str | None) -> _Comparison:
    return key, repr(argument), stored


def _joined(raw: Mapping[Any, Any] | list[Any], parts: Mapping[Any, Evaluated]) -> Evaluated:
    values = {key: part.value for key, part in parts.items()}
    secret = any(part.secret for part in parts.values())
    create_only = any(part.create_only for part in parts.values())
    return Evaluated(values if isinstance(raw, Mapping) else list(values.values()), secret, create_only)


def _refused_default(names: tuple[str, ...]) -> GuardError:
    listed = ", ".join(f"${name}" for name in names)
    return GuardError(
        f"the default of {listed} may not stand in for a secret here",
        hint=f"Set {listed}; defaults of secrets are for embedded and loopback servers and unprotected environments.",
    )


def _function(key: str, values: Mapping[str, Value]) -> Value:
    function = values.get(key)
    if function is not None:
        return function
    if key == REFERENCE:
        raise ValueError(f"{REFERENCE} stands alone in a column of a fixture, not inside another value")
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
class Traits:
    """What is known of a value before it is resolved."""

    secret: bool = False
    create_only: bool = False
    needs_database: bool = False
    compared: bool = False
    """Whether `holds` tells of an existing row if it is as declared."""


_PLAIN = Traits()


def traits(raw: object, values: Mapping[str, Value]) -> Traits:
    """Of all the functions in `raw` together; raises ValueError where one is unknown, or compared inside another."""
    if not isinstance(raw, Mapping | list):
        return _PLAIN
    _require_whole_calls(raw, values)
    calls = [(_function(key, values), argument) for key, argument in _calls(raw, values)]
    compared = [function.is_compared(argument) for function, argument in calls]
    if any(compared[0 if call_of(raw) is None else 1 :]):
        raise ValueError("what existing rows are compared by has to be the whole value of its column")
    return Traits(
        compared=any(compared),
        secret=any(function.is_secret(argument) for function, argument in calls),
        create_only=any(function.create_only for function, _ in calls),
        needs_database=any(function.needs_database for function, _ in calls),
    )


def _calls(raw: object, values: Mapping[str, Value]) -> Iterator[tuple[str, Any]]:
    """All calls in `raw`, outermost first; none inside an argument that is taken verbatim."""
    call = call_of(raw)
    if call is not None:
        yield call
        function = values.get(call[0])
        if function is None or not function.verbatim:
            yield from _calls(call[1], values)
    else:
        for item in _items(raw):
            yield from _calls(item, values)


def _require_whole_calls(raw: object, values: Mapping[str, Value]) -> None:
    """Raises ValueError where a mapping outside a verbatim argument is a call and something else at once."""
    call = call_of(raw)
    function = values.get(call[0]) if call else None
    if function is not None and function.verbatim:
        return
    if call is None and isinstance(raw, Mapping):
        require_no_call(raw, values)
    for item in _items(raw):
        _require_whole_calls(item, values)


def _items(raw: object) -> Iterable[Any]:
    return raw.values() if isinstance(raw, Mapping) else raw if isinstance(raw, list) else ()


def problem_with_value(error: ValueError, source: Source) -> Problem:
    """What `evaluate` raised, as a problem of the file."""
    return Problem(str(error), source, error.hint if isinstance(error, UnsetVariable | MalformedExpression) else None)


def needs(raw: object, context: RunContext) -> tuple[str, ...]:
    """Names of variables that `raw` needs and that are not set here; resolves nothing.

    A variable whose default is refused counts as not set.
    """
    found: list[str] = []
    for text, in_secret in _texts(raw, context, in_secret=False):
        found += _unset(text, context, in_secret=in_secret)
    for key, argument in _calls(raw, context.project.values):
        function = context.project.values.get(key)
        names = function.variables(argument) if function else ()
        found += [name for name in names if name not in context.project.variables]
    return tuple(dict.fromkeys(found))


def _texts(raw: object, context: RunContext, *, in_secret: bool) -> Iterator[tuple[str, bool]]:
    """Every text with variables in it, and whether it goes into a secret."""
    call = call_of(raw)
    function = context.project.values.get(call[0]) if call else None
    if isinstance(raw, str):
        yield raw, in_secret
    elif call and function:
        if not function.verbatim:
            yield from _texts(call[1], context, in_secret=in_secret or function.is_secret(call[1]))
    elif isinstance(raw, Mapping):
        for item in raw.values():
            yield from _texts(item, context, in_secret=in_secret)
    elif isinstance(raw, list):
        for item in raw:
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
        except ValueError:  # no expression at all: said when it is evaluated
            break
        if in_secret and not context.project.default_secrets:
            found += expansion.defaulted
        break
    return found


def variables(raw: object, context: RunContext, *, interpolate: bool = True) -> tuple[str, ...]:
    """Names of all the variables that `raw` reads, set or not."""
    found: list[str] = []
    for text, _ in _texts(raw, context, in_secret=False) if interpolate else ():
        found += _used(text)
    for key, argument in _calls(raw, context.project.values):
        function = context.project.values.get(key)
        found += function.variables(argument) if function else ()
    return tuple(dict.fromkeys(found))


def shown(raw: object, context: RunContext, *, interpolate: bool = True) -> str:
    """Where the value comes from, fit for display: `$password from $SUPERADMIN_PASSWORD`; a mask where it has none."""
    calls = list(_calls(raw, context.project.values))
    names = variables(raw, context, interpolate=interpolate)
    sources = [*(key for key, _ in calls[1:]), *(f"${name}" for name in names)]
    outer = calls[0][0] if calls else ""
    if not outer:
        return f"from {', '.join(sources)}" if sources else MASK
    return f"{outer} from {', '.join(sources)}" if sources else outer


def written(raw: object, context: RunContext) -> str:
    """What the file writes in a place whose value may hold secrets, fit for display: `${NAME}` stays as it is."""
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
