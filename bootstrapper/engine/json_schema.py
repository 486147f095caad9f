"""The JSON Schema of the whole file: the envelope, completed with what the steps, checks and values take.

Those are the built-in ones, and on request those of plugins. What other plugins may add stays open: an unknown `uses`,
check or `$key` is not an error of the schema. A place that takes no text also takes a text with a variable in it, whose
value only the run knows.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from bootstrapper.builtin import registry
from bootstrapper.config import models
from bootstrapper.engine.plugins import Plugins
from bootstrapper.engine.schema_nodes import IN_FUNCTIONS, IN_VARIABLES, Schema, joined, optional, reference_to, relaxed
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.faults import is_ours, validating
from bootstrapper.plugin.inspect import REFERENCE
from bootstrapper.plugin.on_demand import loaded
from bootstrapper.plugin.step import Step, Unit
from bootstrapper.plugin.value import Value
from bootstrapper.postgres.connection.keywords import CHOICES

_INTERPOLATED = {"type": "string", "pattern": r"\$\{", "description": "Text with a variable: ${NAME}."}
_REFERENCE = "A row of another fixture: fixture.label, fixture.label.column, or {fixture: {key: value}}."
_CALL = {"type": "object", "patternProperties": {r"^\$": True}, "minProperties": 1, "maxProperties": 1}
_ADDRESS = r"^\s*([Pp][Oo][Ss][Tt][Gg][Rr][Ee][Ss]([Qq][Ll])?(\+[A-Za-z0-9_]+)?://|embedded:)"
_KEPT = {"version": {"description": "Version of this format.", "const": 1}}


def json_schema(plugins: Plugins | None = None) -> Schema:
    """The schema, whose `$defs` hold `with.STEP` and `check.KEY`.

    Args:
        plugins: What the file may use; by default what is built in, which is the schema that is published.
    """
    steps = loaded(registry.bootstrapper_steps()) if plugins is None else [*plugins.steps.values()]
    checks = loaded(registry.bootstrapper_checks()) if plugins is None else [*plugins.checks.values()]
    values = registry.bootstrapper_values() if plugins is None else [*plugins.values.values()]
    schema: Schema = relaxed(models.json_schema(), [IN_VARIABLES], null_is_absent=True)
    definitions: Schema = schema["$defs"]
    definitions |= _functions(values)
    definitions |= {"Interpolated": _INTERPOLATED, "ColumnValue": _column_value(values), "Row": _row()}
    for check in checks:
        definitions |= _defined(f"check.{check.key}", check.argument_type)
    definitions |= {"When": _condition("When", checks), "Check": _condition("Check", checks, in_when=False)}
    for step in steps:
        definitions |= _defined(f"with.{step.uses}", step.options_type)
        definitions[f"with.{step.uses}"]["description"] = summary(step)
    _complete(definitions, steps)
    _complete_database(definitions["DatabaseConfig"])
    schema["properties"] |= _KEPT
    for key, model in (("database", "DatabaseConfig"), ("ledger", "LedgerConfig"), ("limits", "LimitsConfig")):
        schema["properties"][key]["description"] = definitions[model]["description"]
    environment = optional({"$ref": "#/$defs/EnvironmentConfig"}, {})
    schema["properties"]["environments"]["anyOf"][0]["additionalProperties"] = environment
    return schema


def summary(kind: type[Unit | Check | Value]) -> str:
    """What it is for: the first sentence of its module, which begins with its name; of a plugin, that of its class."""
    own = next(each for each in kind.__mro__ if each.__doc__ or is_ours(each))
    about = inspect.getdoc(inspect.getmodule(kind) if is_ours(kind) else None if is_ours(own) else own) or ""
    sentence = " ".join(about.split("\n\n")[0].split())
    said = re.sub(r"^(`[^`]+`|\S+): ", "", sentence)
    return said[:1].upper() + said[1:]


def attributes(model: type) -> dict[str, str]:
    """What the docstrings of a class and its bases say under `Attributes:`, by the name of the field."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        section = (inspect.cleandoc(kind.__doc__ or "") + "\n").partition("Attributes:\n")[2]
        for entry in re.split(r"\n(?=    \w)", "\n" + section.rstrip()):
            name, colon, text = entry.strip().partition(":")
            if colon:
                found[name] = " ".join(text.split())
    return found


def _complete(definitions: Schema, steps: Sequence[type[Unit]]) -> None:
    """Puts what is built in into the envelope's models."""
    step, fixture = definitions["StepConfig"], definitions["FixtureConfig"]
    known = [{"const": kind.uses, "description": summary(kind)} for kind in steps]
    other = {"type": "string", "minLength": 1, "description": "A step provided by a plugin."}
    step["properties"]["uses"] = {"description": step["properties"]["uses"]["description"], "anyOf": [*known, other]}
    step["allOf"] = [_case(kind) for kind in steps]
    for owner, key, name in ((step, "when", "When"), (step, "check", "Check"), (fixture, "when", "When")):
        owner["properties"][key] = optional({"$ref": f"#/$defs/{name}"}, owner["properties"][key])
    row = {"$ref": "#/$defs/Row"}
    rows = {"anyOf": [{"type": "array", "items": row}, {"type": "object", "additionalProperties": row}]}
    fixture["properties"]["rows"] = optional(rows, fixture["properties"]["rows"])
    fixture["properties"]["defaults"] = optional(row, fixture["properties"]["defaults"])


def _complete_database(section: Schema) -> None:
    """What the single values have to look like, where not every text will do."""
    kinds: dict[str, list[Schema]] = {
        key: [{"enum": list(choices)}, {"type": "string", "maxLength": 0}] for key, choices in CHOICES.items()
    }
    kinds |= {key: [{"type": "string", "pattern": _ADDRESS}] for key in ("url", "direct_url")}
    port = {"type": "integer", "minimum": 1, "maximum": 65535}
    kinds |= {"port": [port, {"type": "string", "pattern": r"^(\d*,)*\d*$"}]}
    kinds |= {"connect_timeout": [{"type": "integer"}, {"type": "string", "pattern": r"^(-?\d+)?$"}]}
    for key, own in kinds.items():
        about = section["properties"][key]
        section["properties"][key] = joined(about, [*own, IN_VARIABLES, IN_FUNCTIONS, {"type": "null"}])


def _case(kind: type[Unit]) -> Schema:
    """What an entry has to look like that uses a built-in step."""
    block = {"$ref": reference_to(f"with.{kind.uses}")}
    needs_options = any(field.is_required() for field in kind.options_type.model_fields.values())
    properties: Schema = {"with": block if needs_options else {"anyOf": [block, {"type": "null"}]}}
    required = ["with"] if needs_options else []
    if not issubclass(kind, Step):
        properties |= {"when": False, "check": False}
    elif kind.needs_check:
        required.append("check")
    then = {"properties": properties, **({"required": required} if required else {})}
    return {"if": {"properties": {"uses": {"const": kind.uses}}, "required": ["uses"]}, "then": then}


def _condition(name: str, checks: Sequence[type[Check]], *, in_when: bool = True) -> Schema:
    """A check by its key alone, with its argument, or several joined; refers to itself by its name."""
    own = {"$ref": f"#/$defs/{name}"}
    several = {"type": "array", "items": own, "minItems": 1}
    refused = [check for check in checks if check.only_in_when and not in_when]
    known = {check.key: {"$ref": reference_to(f"check.{check.key}"), "description": summary(check)} for check in checks}
    never_bare = [check.key for check in checks if check in refused or not _takes_nothing(check)]
    keyed = {
        "type": "object",
        "properties": {**known, **{check.key: False for check in refused}, "all": several, "any": several, "not": own},
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {
        "anyOf": [
            {"type": "string", "minLength": 1, "not": {"enum": [*never_bare, "all", "any", "not"]}},
            keyed,
            several,
        ]
    }


def _takes_nothing(check: type[Check]) -> bool:
    shape = TypeAdapter(check.argument_type).json_schema(schema_generator=_Lenient)
    return any(option.get("type") == "null" for option in shape.get("anyOf", [shape]))


def _functions(values: Sequence[type[Value]]) -> Schema:
    """Value functions, as they may stand outside of fixtures and as a column's value."""
    everywhere = {value.key: {"description": summary(value)} for value in values if not value.needs_database}
    refused = {value.key: False for value in values if value.needs_database} | {REFERENCE: False}
    in_rows = {value.key: {"description": summary(value)} for value in values}
    row = {"type": ["string", "object"], "description": _REFERENCE}
    return {
        "ValueFunction": {
            **_CALL,
            "description": "A value function, such as {$file: /run/secrets/password}.",
            "properties": {**everywhere, **refused},
            "additionalProperties": False,
        },
        "ColumnFunction": {
            **_CALL,
            "description": "A value function or a reference, such as {$ref: tenants.default}.",
            "properties": {**in_rows, REFERENCE: row},
        },
    }


def _column_value(values: Sequence[type[Value]]) -> Schema:
    """A mapping of one key that looks like a function, or with the key of a known one, is a call and nothing else."""
    keys = [*(value.key for value in values), REFERENCE]
    known = {"type": "object", "anyOf": [{"required": [key]} for key in keys]}
    is_call = {"anyOf": [{**_CALL, "additionalProperties": False}, known]}
    return {"if": is_call, "then": {"$ref": "#/$defs/ColumnFunction"}}


def _row() -> Schema:
    return {"type": "object", "additionalProperties": {"$ref": "#/$defs/ColumnValue"}}


def _defined(name: str, kind: Any) -> Schema:
    """The definition of a model or type under a name, and of what it refers to under names that begin with it."""
    template = reference_to(name) + ".{model}"
    with validating(kind):
        schema = TypeAdapter(kind).json_schema(ref_template=template, schema_generator=_Lenient)
    inner = schema.pop("$defs", {})
    for model in _models(kind):
        _describe(inner.get(model.__name__, schema), model)
    named = {name: schema, **{f"{name}.{key}": each for key, each in inner.items()}}
    instead = [IN_VARIABLES, IN_FUNCTIONS]
    return {key: relaxed(each, instead, null_is_absent=True) for key, each in named.items()}


class _Lenient(GenerateJsonSchema):
    """Leaves open what has no JSON Schema: a type that only a validator of a plugin knows."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """A default that JSON cannot write is left out."""


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    """The model, those among the arguments of a type, and those of their fields."""
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from _models(field.annotation)
    for argument in get_args(kind):
        yield from _models(argument)


def _describe(schema: Schema, model: type[BaseModel]) -> None:
    """Gives the fields of a model the sentences of its docstring."""
    schema.pop("description", None)
    texts = attributes(model)
    for name, field in model.model_fields.items():
        if name in texts:
            schema["properties"][field.alias or name].setdefault("description", texts[name])
