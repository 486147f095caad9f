"""Variables in text: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, also of a target of a fleet, `${target.NAME}`;
and `${run.url}` and its parts, which only a run knows."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bootstrapper.dataclass import dataclass
from bootstrapper.text import did_you_mean

DRIVERS = ("psycopg", "psycopg2", "pg8000", "psycopg2cffi", "asyncpg", "psycopg_async")
"""What SQLAlchemy has for PostgreSQL, as its URLs name them; what each needs: migrations/project/drivers.py."""

OF_TARGET = "target."
"""Begins the names of the variables of a target of a fleet."""

# `\}` stands for a brace inside a default. The possessive quantifiers keep long texts linear, in time and in memory.
_EXPRESSION = re.compile(
    r"\$\{(?:(?P<run>run\.(?:url(?:\+[a-z0-9_]+)?|host|port|user|password|dbname))"
    r"|(?P<name>(?:target\.)?[A-Za-z_][A-Za-z0-9_]*)(?::(?P<kind>[-?])(?P<rest>(?:[^}\\]++|\\\}|\\)*+))?)\}"
)
_OF_RUN = re.compile(r"(?<!\$)\$\{(run\.(?:url(?:\+[a-z0-9_]+)?|host|port|user|password|dbname))\}")
_OF_TARGET = re.compile(r"(?<!\$)\$\{(target\.[A-Za-z_][A-Za-z0-9_]*)")
_MEANS_RUN = re.compile(r"\$\{(?P<name>run\.[A-Za-z0-9_.]*)(?P<plus>\+(?P<driver>[A-Za-z0-9_]*))?(?P<rest>[^}]*)\}")
_OF_RUNS = tuple(f"run.{name}" for name in ("url", "host", "port", "user", "password", "dbname"))
_OPENING = re.compile(r"(?P<literal>\$\$\{)|\$\{")


class UnsetVariable(ValueError):  # noqa: N818 - names a fact; the caller decides whether it is an error
    """A variable without a value and a default."""

    def __init__(self, name: str, message: str = "", *, of_fleet: bool = False) -> None:
        """Takes the name, what the file says about it, and whether a target of a fleet lacks it."""
        self.name = name
        self.message = message or _unset(name, of_fleet=of_fleet)
        self.hint = None if message else _hint(name, of_fleet=of_fleet)
        super().__init__(self.message)


def _unset(name: str, *, of_fleet: bool) -> str:
    if name.startswith(OF_TARGET) and not of_fleet:
        return f"{name} is known only in a run of a fleet"
    return f"variable {name} is not set"


def _hint(name: str, *, of_fleet: bool) -> str:
    if name.startswith(OF_TARGET) and of_fleet:
        return f"Set it in the list of targets, or write a default: ${{{name}:-default}}."
    if name.startswith(OF_TARGET):
        return "Use `bootstrapper fleet apply`; for one target, `bootstrapper fleet run TARGET -- COMMAND`."
    return f"Set {name}, or write a default: ${{{name}:-default}}."


class MalformedExpression(ValueError):  # noqa: N818 - reads as what it is
    """A malformed `${`; its message quotes nothing of the text."""

    hint: str = "Write $${ for a literal ${."


class UnknownOfRun(MalformedExpression):
    """A name or driver that no run knows, or more than a name."""

    def __init__(self, message: str, hint: str) -> None:
        self.hint = hint
        super().__init__(message)


class UnknownHere(MalformedExpression):
    """A name that only a run knows, used where it is unknown."""

    hint = "Pass it there, and let the program read it from its environment."


@dataclass(frozen=True)
class Expansion:
    """A text with its variables replaced.

    Attributes:
        used: Every variable that the text names, in its order.
        defaulted: Those of them whose default stood in.
    """

    text: str
    used: tuple[str, ...] = ()
    defaulted: tuple[str, ...] = ()


def expand(text: str, variables: Mapping[str, str]) -> Expansion:
    """Replaces variables as a shell does: `:-` and `:?` treat an empty variable like one that is not set.

    `$${` gives a literal `${`, and `\\}` a brace inside a default. What was put in is not read again.

    Raises:
        UnsetVariable: For the first variable without a value and without a default.
        MalformedExpression: Where a `${` begins no expression, or asks for what is not known here.
    """
    if "${" not in text:
        return Expansion(text)
    parts: list[str] = []
    used: dict[str, None] = {}
    defaulted: dict[str, None] = {}
    end = 0
    while opening := _OPENING.search(text, end):
        parts.append(text[end : opening.start()])
        if opening["literal"]:
            parts.append("${")
            end = opening.end()
            continue
        match = _expression(text, opening.start())
        if match["run"]:
            parts.append(_of_run(match["run"], variables))
            end = match.end()
            continue
        value = _value(match, variables)
        used[match["name"]] = None
        if value is None:
            defaulted[match["name"]] = None
        parts.append(_literal(match["rest"]) if value is None else value)
        end = match.end()
    return Expansion("".join((*parts, text[end:])), tuple(used), tuple(defaulted))


def demands(text: str) -> dict[str, str]:
    """Returns the messages that a text has for variables without a value, by their names."""
    found = {}
    end = 0
    while opening := _OPENING.search(text, end):
        match = None if opening["literal"] else _EXPRESSION.match(text, opening.start())
        if match is not None and match["kind"] == "?" and match["rest"]:
            found[match["name"]] = _literal(match["rest"])
        end = match.end() if match is not None else opening.end()
    return found


def of_run(text: str) -> set[str]:
    """Returns the names in a text that only a run knows: `run.url`, with a driver `run.url+asyncpg`, or `run.host`."""
    return set(_OF_RUN.findall(text))


def of_target(text: str) -> set[str]:
    """Returns the names in a text that only a target of a fleet has."""
    return set(_OF_TARGET.findall(text))


def fault(text: str) -> MalformedExpression | None:
    """Returns what is malformed in a text, whatever the variables are; None if nothing is."""
    end = 0
    while opening := _OPENING.search(text, end):
        try:
            end = opening.end() if opening["literal"] else _expression(text, opening.start()).end()
        except MalformedExpression as error:
            return error
    return None


def _expression(text: str, start: int) -> re.Match[str]:
    match, meant = _EXPRESSION.match(text, start), _MEANS_RUN.match(text, start)
    if meant is not None:
        _require_known(meant)
    if match is None:
        raise MalformedExpression(_complaint(text, start))
    if match["rest"] and "${" in match["rest"].replace("$${", ""):
        raise MalformedExpression("a default cannot contain another ${...}")
    return match


def _require_known(meant: re.Match[str]) -> None:
    """Raises UnknownOfRun unless the expression is a name that a run knows, and perhaps a driver."""
    name, driver = meant["name"], meant["driver"]
    if name not in _OF_RUNS:
        raise UnknownOfRun(f"unknown name {name}", did_you_mean(name, _OF_RUNS) or "")
    if meant["rest"]:
        raise UnknownOfRun(f"{name} takes no default and no message", f"Write ${{{name}}}.")
    if meant["plus"] and name != "run.url":
        raise UnknownOfRun(f"{name} takes no driver", f"Write ${{{name}}}, or ${{run.url+{driver or DRIVERS[0]}}}.")
    if meant["plus"] and driver not in DRIVERS:
        raise UnknownOfRun(f"unknown driver {driver!r} of run.url", did_you_mean(driver, DRIVERS) or "")


def _complaint(text: str, start: int) -> str:
    if "}" not in text[start:]:
        return "a ${ without its closing brace"
    if re.compile(r"\$\{(?:target\.)?[A-Za-z_][A-Za-z0-9_]*:[-?]").match(text, start):
        return "a ${ without its closing brace: \\} does not close it"
    return "a ${ without a variable name after it, or with more than :-default or :?message"


def _of_run(name: str, variables: Mapping[str, str]) -> str:
    """Returns the value if the caller put it among the variables."""
    if name not in variables:
        raise UnknownHere(f"{name} is available only under `env` of a step")
    return variables[name]


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str | None:
    """Returns the value of the variable; None for its default."""
    name, kind = match["name"], match["kind"]
    value = variables.get(name)
    if value or (value is not None and kind is None):
        return value
    if kind == "-":
        return None
    raise UnsetVariable(name, _literal(match["rest"] or ""), of_fleet=f"{OF_TARGET}name" in variables)


def _literal(text: str) -> str:
    return text.replace("\\}", "}").replace("$${", "${")
