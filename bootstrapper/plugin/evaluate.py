"""Evaluates a scalar of the file: `${NAME}` and `{$key: argument}`, nested as they are.

Nothing is resolved before it is needed: inspect.py looks without resolving anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from bootstrapper.config.document import expand
from bootstrapper.config.run_cache import Kept
from bootstrapper.dataclass import dataclass
from bootstrapper.errors import GuardError, Source
from bootstrapper.masking import MASK
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.inspect import call_of, function_of, require_no_call
from bootstrapper.plugin.purity import note
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.value import Value
from bootstrapper.postgres.connection.settings import LEND_PATH, lent

_Comparison = tuple[str, str, str | None]


_COMPARED = Kept[_Comparison, bool]()
"""Whether a stored text matches a function, by function, argument and text."""


@dataclass(frozen=True)
class Evaluated:
    """A value and how it may be treated.

    Attributes:
        secret: Never to be shown; the masker knows it.
        create_only: Written when a row is created, never compared.
    """

    value: object = field(repr=False)
    secret: bool = False
    create_only: bool = False


def evaluate(
    raw: object,
    context: RunContext,
    *,
    interpolate: bool = True,
    database: bool = True,
    source: Source | None = None,
) -> Evaluated:
    """Returns the value of `raw`.

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
        return _Evaluation(context, interpolate, database, source).of(raw, in_secret=False)
    seen = _beside(context, source)
    return _Evaluation(seen, interpolate, database, source, is_elsewhere=seen is not context).of(raw, in_secret=False)


def _beside(context: RunContext, source: Source | None) -> RunContext:
    """Returns the context as an overlay in another folder sees it."""
    folder = beside(context, source)
    if folder == context.project.directory:
        return context
    return replace(context, project=replace(context.project, directory=folder))


def beside(context: RunContext, source: Source | None) -> Path:
    """Returns the folder where relative paths of a place start."""
    file = Path(source.file).absolute() if source else None
    return file.parent if file and file.is_file() else context.project.directory


@dataclass(frozen=True)
class _Evaluation:
    context: RunContext
    interpolate: bool
    database: bool
    source: Source | None = None
    is_elsewhere: bool = False

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
            raise ValueError(f"{', '.join(f'${name}' for name in expansion.used)} is not valid UTF-8")
        return expansion.text

    def _call(self, key: str, argument: object, *, in_secret: bool) -> Evaluated:
        function = function_of(key, self.context.project.values)
        if function.needs_database and not self.database:
            raise ValueError(f"{key} needs the database and can only be used in fixtures")
        secret, hides = function.is_secret(argument), function.hides_argument(argument, in_secret=in_secret)
        inner = Evaluated(argument) if function.verbatim else self.of(argument, in_secret=hides)
        if not self._is_named(function, argument, inner.value):
            note(self.context.project.cache, key, self.source)
        if function.runs_program and self.context.project.validates:
            function.check(inner.value)
            return Evaluated(MASK, secret)
        lends = function.needs_database and function.borrows_session
        with lent(self.context.connection, LEND_PATH) if lends else nullcontext():
            value = function.resolve(Context(self.context), inner.value)
        if isinstance(value, str) and function.is_compared(argument):
            self.context.project.cache.of(_COMPARED)[_comparison(key, inner.value, value)] = True
        if secret:
            note(self.context.project.cache, key, self.source)
        if secret and isinstance(value, str):
            self.context.masker.learn(value)
        return Evaluated(value, secret or inner.secret, function.create_only or inner.create_only)

    def _is_named(self, function: Value, written: object, argument: object) -> bool:
        """Returns whether what a pure function reads can be told from what is written, as the digest of inputs does."""
        if not function.pure:
            return False
        files, variables = function.files(argument), function.variables(argument)
        told = [expand(path, self.context.project.variables).text for path in function.files(written)]
        is_same = list(files) == told and list(variables) == list(function.variables(written))
        return is_same and not (files and self.is_elsewhere)


def holds(
    raw: object, stored: str | None, context: RunContext, *, interpolate: bool = True, source: Source | None = None
) -> bool:
    """Returns whether a stored text matches the call `raw`; arguments and errors as of `evaluate`.

    The answer is kept for the run: it takes long by design, and the step's comparison is made several times.
    """
    call = call_of(raw)
    assert call is not None
    note(context.project.cache, call[0], source)
    function, seen = function_of(call[0], context.project.values), _beside(context, source)
    inner = call[1]
    if not function.verbatim:
        hides = function.hides_argument(call[1])
        inner = _Evaluation(seen, interpolate, database=True, source=source).of(call[1], in_secret=hides).value
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
        f"the default of {listed} cannot be used as a secret here",
        hint=f"Set {listed}; defaults of secrets are for embedded and loopback servers and unprotected environments.",
    )
