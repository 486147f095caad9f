"""The boundary around every call into a plugin: nothing but our own errors and checked results comes back.

A class is guarded once, when its plugin is loaded, so no caller can go around it. The engine then uses a subclass whose
methods, those of the contract and of traits, are called through `_Call`. Our own classes are left as they are: mypy has
checked what they return, and an error in one of them is a bug of bootstrapper.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import partial, wraps
from inspect import unwrap
from types import CodeType, TracebackType, new_class
from typing import Any

import psycopg

from bootstrapper.dataclass import dataclass
from bootstrapper.errors import BootstrapperError, PluginError, PluginFailedError, StepFailedError
from bootstrapper.plugin import results
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.contracts import LOADING, READING, REASONED, SHOWN, contract_of
from bootstrapper.plugin.faults import (
    ORIGIN,
    Place,
    at_line,
    is_ours,
    is_raised_by_plugin,
    line_of,
    loading,
    note_place,
    raised,
)
from bootstrapper.plugin.quoting import quote_error, quoted
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.plugin.run_context import RunContext
from bootstrapper.plugin.step import Unit
from bootstrapper.postgres.connection.loan import ForbiddenError, Loan

_INSIDE: ContextVar[tuple[object, ...]] = ContextVar("inside", default=())
"""The objects whose methods are at work: what they call of themselves is their own matter."""

_LEAVE = "Leave BEGIN, COMMIT and ROLLBACK to bootstrapper; `with context.connection.transaction():` is a savepoint."

_END = object()
"""Stands for the end of the parts, which a plugin might take None for."""


def guarded(kind: type[Any], origin: str) -> type[Any]:
    """Returns the class as the engine uses it, each of its methods behind the boundary; one of ours as it is.

    Args:
        origin: The plugin that it comes from, as errors name it.
    """
    if is_ours(kind):
        return kind
    kept = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__, ORIGIN: origin}
    with loading(origin, kind.__name__):
        found: type[Any] = new_class(kind.__name__, (kind,), exec_body=lambda namespace: namespace.update(kept))
    for name, check in {"__init__": results.nothing, **contract_of(kind)}.items():
        setattr(found, name, _method(found, _Call(kind, name, check, origin)))
    return found


def _method(found: type[Any], call: _Call) -> Callable[..., Any]:
    @wraps(getattr(call.kind, call.name))
    def method(self: Any, *arguments: Any, **options: Any) -> Any:
        own = getattr(super(found, self), call.name)
        if any(each is self for each in _INSIDE.get()):
            return own(*arguments, **options)
        return call.make(self, own, arguments, options)

    return method


@dataclass(frozen=True)
class _Call:
    """One method of a plugin's class, and what is made of what it raises and returns."""

    kind: type[Any]
    name: str
    check: results.Check
    origin: str

    def make(
        self,
        unit: Any,
        call: Callable[..., Any],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        lent: _Lent | None = None,
    ) -> Any:
        """Returns the checked result.

        Args:
            lent: What a call that goes on was lent; it has no context among its arguments.

        Raises PluginFailedError, PluginError for the configuration, or ValueError where that is the contract. Our own
        errors pass, and so does an error of the server, which the engine explains.
        """
        lent = lent or _lent(arguments, reads=self.name in READING)
        token = _INSIDE.set((*_INSIDE.get(), unit))
        try:
            with lent or nullcontext():
                given = (lent.context if lent and isinstance(each, Context) else each for each in arguments)
                own = partial(call, *given, **options)
                result = self.check(own())
            if self.name == "__init__":
                _require_attributes(unit)
        except ForbiddenError as error:
            raise self._fault(unit, f"{error}{self._line(error)}", _LEAVE) from error
        except BootstrapperError as error:
            if isinstance(error, StepFailedError):
                error.at(getattr(unit, "source", None))
            if is_raised_by_plugin(error):
                quote_error(error)
            raise
        except results.WrongResultError as error:
            raise self._fault(unit, f"{error}{self._beginning}") from error
        except (Exception, SystemExit) as error:
            server = error if isinstance(error, psycopg.Error) else getattr(error, "orig", None)
            if lent and isinstance(server, psycopg.Error) and _is_of_server(server, lent.run):
                note_place(server, self._place(error))
                if self.name == "ask":  # the engine answers for it by its SQLSTATE
                    raise server from None
                raise
            quote_error(error)  # a KeyError would escape it
            if isinstance(error, ValueError) and self.name in REASONED:
                raise
            raise self._fault(unit, f"{raised(error)}{self._line(error)}") from error
        finally:
            _INSIDE.reset(token)
        return self._kept(unit, result, lent)

    def _kept(self, unit: Any, result: Any, lent: _Lent | None) -> Any:
        """Returns the result; where more of the plugin is called through it, behind the boundary as well."""
        if self.check is results.parts and lent is not None and result is not None:
            return _Parts(replace(self, check=_part), unit, result, lent)
        if self.name == "around" and lent is not None and result is not None:
            return _Around(replace(self, check=results.nothing), unit, result, lent)
        return quoted(result) if self.name in SHOWN else result

    @property
    def _code(self) -> CodeType | None:
        return getattr(unwrap(getattr(self.kind, self.name)), "__code__", None)

    def _line(self, error: BaseException) -> str:
        return line_of(error, self.origin, self._code) or self._beginning

    def _place(self, error: BaseException) -> Place:
        said = f"plugin {self.origin}: {self.kind.__name__}.{self.name}(){self._line(error)}"
        file = self._code.co_filename if self._code is not None else ""
        return Place(said, file, reads=self.name in READING)

    @property
    def _beginning(self) -> str:
        code = self._code
        return at_line(code.co_firstlineno, code.co_filename, self.origin) if code is not None else ""

    def _fault(self, unit: Any, said: str, hint: str | None = None) -> Exception:
        said = f"{self.kind.__name__}.{self.name}() {quoted(said)}"
        source = getattr(unit, "source", None)
        if self.name in REASONED:
            return ValueError(f"{unit.key}: plugin {self.origin}: {said}")
        if self.name in LOADING:
            return PluginError(self.origin, said, hint=hint, source=source)
        return PluginFailedError(self.origin, said, hint=hint, source=source)


class _Parts(Iterator[Any]):
    """The parts of a step of a plugin: each is taken behind the boundary, with the connection of the whole call."""

    def __init__(self, call: _Call, unit: Any, parts: Iterator[Any], lent: _Lent) -> None:
        self._call = call
        self._unit = unit
        self._parts = parts
        self._lent = lent

    def __next__(self) -> Any:
        part = self._call.make(self._unit, lambda: next(self._parts, _END), (), {}, self._lent)
        if part is _END:
            raise StopIteration
        return part


def _part(found: Any) -> Any:
    return found if found is _END else results.PART(found)


class _Around(AbstractContextManager[None]):
    """What a scope of a plugin puts around steps: entered and left behind the boundary, with one context."""

    def __init__(self, call: _Call, scope: Any, manager: AbstractContextManager[None], lent: _Lent) -> None:
        self._call = call
        self._scope = scope
        self._manager = manager
        self._lent = lent

    def __enter__(self) -> None:
        self._call.make(self._scope, self._enter, (), {}, self._lent)

    def _enter(self) -> None:
        try:
            self._manager.__enter__()
        except (RuntimeError, TypeError) as error:
            if traceback.extract_tb(error.__traceback__)[-1].filename == contextlib.__file__:
                raise results.WrongResultError("does not yield") from error
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.make(self._scope, partial(self._manager.__exit__, kind, error, trace), (), {}, self._lent)


def _require_attributes(unit: Any) -> None:
    """Raises WrongResultError for an object whose `__init__` is not that of its base as well."""
    wanted = {Unit: "options", Check: "argument", Renderer: "width"}
    if any(isinstance(unit, base) and not hasattr(unit, name) for base, name in wanted.items()):
        raise results.WrongResultError("does not call super().__init__()")


class _Lent(AbstractContextManager["_Lent"]):
    """The context of one call, with a connection of its own; what it read by it is put back when the call ends."""

    def __init__(self, run: RunContext, *, reads: bool) -> None:
        self.run = run
        self._loan = Loan(lambda: run.connection, reads=reads)
        self.context = Context(run, self._loan)

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        with suppress(psycopg.Error) if kind is not None else nullcontext():
            self._loan.end()


def _lent(arguments: tuple[Any, ...], *, reads: bool) -> _Lent | None:
    """Returns what a call with these arguments is lent; None for one without a context."""
    run = next((run_of(each) for each in arguments if isinstance(each, Context)), None)
    return _Lent(run, reads=reads) if run is not None else None


def _is_of_server(error: psycopg.Error, run: RunContext) -> bool:
    """Returns whether the server refused, or is gone: what psycopg itself refuses is a fault of the plugin."""
    return error.sqlstate is not None or not run.session.is_open
