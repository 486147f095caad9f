"""`$env`: an environment variable as it is, without interpolation; a secret if the file says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootstrapper.config.document import UnsetVariable
from bootstrapper.plugin.context import Context, run_of
from bootstrapper.plugin.value import UNKNOWN, Value


class Env(Value):
    """`$env: NAME`, or `$env: {name: NAME, secret: true}`."""

    key = "$env"
    pure = True
    constant = True

    def is_secret(self, argument: Any) -> bool:
        return isinstance(argument, Mapping) and argument.get("secret") is True

    def variables(self, argument: Any) -> tuple[str, ...]:
        name = argument.get("name") if isinstance(argument, Mapping) else argument
        return (name,) if isinstance(name, str) and "$" not in name else ()

    def check(self, argument: Any) -> None:
        if isinstance(argument, Mapping):
            _name({key: "?" if part is UNKNOWN else part for key, part in argument.items()})
        elif argument is not UNKNOWN:
            _name(argument)

    def resolve(self, context: Context, argument: Any) -> object:
        run = run_of(context)
        name = _name(argument)
        if name not in run.project.variables:
            raise UnsetVariable(name, f"${name} is not set")
        return run.project.variables[name]


def _name(argument: Any) -> str:
    if isinstance(argument, str) and argument:
        return argument
    if isinstance(argument, Mapping) and set(argument) <= {"name", "secret"}:
        name, secret = argument.get("name"), argument.get("secret", False)
        if isinstance(name, str) and name and isinstance(secret, bool):
            return name
    raise ValueError("$env takes the name of a variable, or {name: NAME, secret: true}")
