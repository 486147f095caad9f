"""The JSON Schema of the whole file: the envelope, completed with what the built-in steps, checks and values take.

Whatever a plugin may add stays open: an unknown `uses`, check or `$key` is not an error of the schema. A place that
takes no text also takes a text with a variable in it, whose value only the run knows.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter

from bootstrapper.builtin import registry
from bootstrapper.config import models
from bootstrapper.plugin.check import Check
from bootstrapper.plugin.inspect import REFERENCE
from bootstrapper.plugin.on_demand import loaded
from bootstrapper.plugin.step import Step, Unit
from bootstrapper.plugin.value import Value
from bootstrapper.postgres.connection.keywords import CHOICES

Schema = dict[str, Any]

_INTERPOLATED = {"type": "string", "pattern": r"\$\{", "description": "Text with a variable: ${NAME}."}
_REFERENCE = "A row of another fixture: fixture.label, fixture.label.column, or {fixture: {key: value}}."
_CALL = {"type": "object", "patternProperties": {r"^\$": True}, "minProperties": 1, "maxProperties": 1}
_IN_VARIABLES = {"$ref": "#/$defs/Interpolated"}
_IN_FUNCTIONS = {"$ref": "#/$defs/ValueFunction"}
_ADDRESS = r"^\s*([Pp][Oo][Ss][Tt][Gg][Rr][Ee][Ss]([Qq][Ll])?(\+[A-Za-z0-9_]+)?://|embedded:)"
_ABOUT = ("description", "default")
_SECONDS_PATTERN = "(ms|s|m|h|d)$"
_KEPT = {"version": {"description": "Version of this format.", "const": 1}}


def json_schema() -> Schema:
    """The schema that is published; `$defs` holds `with.STEP` and `check.KEY` for everything built in."""
    schema: Schema = _relaxed(models.json_schema(), [_IN_VARIABLES], null_is_absent=True)
    definitions: Schema = schema["$defs"]
    steps, checks = loaded(registry.bootstrapper_steps()), loaded(registry.bootstrapper_checks())
    definitions |= _functions(registry.bootstrapper_values())
    definitions |= {"Interpolated": _INTERPOLATED, "ColumnValue": _column_value(), "Row": _row()}
    for check in checks:
        definitions |= _defined(f"check.{check.key}", check.Argument)
    definitions |= {"When": _condition("When", checks), "Check": _condition("Check", checks, in_when=False)}
    for step in steps:
        definitions |= _defined(f"with.{step.uses}", step.With)
        definitions[f"with.{step.uses}"]["description"] = summary(step)
    _complete(definitions, steps)
    _complete_database(definitions["DatabaseConfig"])
    schema["properties"] |= _KEPT
    for key, model in (("database", "DatabaseConfig"), ("ledger", "LedgerConfig"), ("limits", "LimitsConfig")):
        schema["properties"][key]["description"] = definitions[model]["description"]
    environment = _optional({"$ref": "#/$defs/EnvironmentConfig"}, {})
    schema["properties"]["environments"]["anyOf"][0]["additionalProperties"] = environment
    return schema


def summary(kind: type[Unit | Check | Value]) -> str:
    """What it is for: the first sentence of its module, which begins with its name."""
    module = inspect.getmodule(kind)
    sentence = " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())
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
        owner["properties"][key] = _optional({"$ref": f"#/$defs/{name}"}, owner["properties"][key])
    row = {"$ref": "#/$defs/Row"}
    rows = {"anyOf": [{"type": "array", "items": row}, {"type": "object", "additionalProperties": row}]}
    fixture["properties"]["rows"] = _optional(rows, fixture["properties"]["rows"])
    fixture["properties"]["defaults"] = _optional(row, fixture["properties"]["defaults"])


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
        section["properties"][key] = _joined(about, [*own, _IN_VARIABLES, _IN_FUNCTIONS, {"type": "null"}])


def _case(kind: type[Unit]) -> Schema:
    """What an entry has to look like that uses a built-in step."""
    block = {"$ref": f"#/$defs/with.{kind.uses}"}
    needs_options = any(field.is_required() for field in kind.With.model_fields.values())
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
    known = {check.key: {"$ref": f"#/$defs/check.{check.key}", "description": summary(check)} for check in checks}
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
    shape = TypeAdapter(check.Argument).json_schema()
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


def _column_value() -> Schema:
    """A mapping of one key that looks like a function, or with the key of a known one, is a call and nothing else."""
    keys = [*(value.key for value in registry.bootstrapper_values()), REFERENCE]
    known = {"type": "object", "anyOf": [{"required": [key]} for key in keys]}
    is_call = {"anyOf": [{**_CALL, "additionalProperties": False}, known]}
    return {"if": is_call, "then": {"$ref": "#/$defs/ColumnFunction"}}


def _row() -> Schema:
    return {"type": "object", "additionalProperties": {"$ref": "#/$defs/ColumnValue"}}


def _defined(name: str, kind: Any) -> Schema:
    """The definition of a model or type under a name, and of what it refers to under names that begin with it."""
    schema = TypeAdapter(kind).json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    inner = schema.pop("$defs", {})
    for model in _models(kind):
        _describe(inner.get(model.__name__, schema), model)
    named = {name: schema, **{f"{name}.{key}": each for key, each in inner.items()}}
    instead = [_IN_VARIABLES, _IN_FUNCTIONS]
    return {key: _relaxed(each, instead, null_is_absent=True) for key, each in named.items()}


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


def _relaxed(node: Any, instead: Sequence[Schema], *, null_is_absent: bool = False) -> Any:
    """The schema without titles, where a place that wants a single value also takes one of `instead`.

    Args:
        null_is_absent: Whether a key that may be left out may also stand there without a value.
    """
    if not isinstance(node, Mapping):
        return node
    if "^\\$" in node.get("patternProperties", {}):
        return dict(_IN_FUNCTIONS)
    relaxed = partial(_relaxed, instead=instead, null_is_absent=null_is_absent)
    kept = {key: each for key, each in node.items() if key not in ("title", "default", "format")}
    kept |= {key: relaxed(kept[key]) for key in ("items", "additionalProperties") if key in kept}
    kept |= {key: [relaxed(each) for each in kept[key]] for key in ("anyOf", "oneOf", "allOf") if key in kept}
    for key in {"properties", "$defs"} & set(kept):
        kept[key] = {name: relaxed(each) for name, each in kept[key].items()}
    if null_is_absent:
        for name in set(kept.get("properties", ())) - set(kept.get("required", ())):
            kept["properties"][name] = _optional(kept["properties"][name], kept["properties"][name])
    if node.get("default") not in (None, "", [], {}):
        kept["default"] = _as_written(node)
    return _joined(kept, [kept, *_instead_of(kept, instead)])


def _instead_of(node: Schema, instead: Sequence[Schema]) -> list[Schema]:
    """A text with a variable in it needs saying only where not every text fits."""
    if not _is_scalar(node):
        return []
    any_text = node.get("type") == "string" and not {"pattern", "enum", "const", "minLength"} & set(node)
    return [each for each in instead if not (any_text and each == _IN_VARIABLES)]


def _optional(node: Any, about: Mapping[str, Any]) -> Schema:
    """Takes null as well: a key without a value counts as absent."""
    return _joined(about, [node, {"type": "null"}])


def _joined(about: Mapping[str, Any], kinds: Sequence[Schema]) -> Schema:
    """Any of the kinds, described as `about` is; no kind twice, and no choice within a choice."""
    said = {key: about[key] for key in _ABOUT if key in about}
    flat: list[Schema] = []
    for kind in kinds:
        flat += [each for each in _alternatives(kind) if each not in flat]
    return said | flat[0] if len(flat) == 1 else said | {"anyOf": flat}


def _alternatives(node: Schema) -> Iterator[Schema]:
    bare = {key: each for key, each in node.items() if key not in _ABOUT}
    if set(bare) != {"anyOf"}:
        yield bare
        return
    for each in bare["anyOf"]:
        yield from _alternatives(each)


def _is_scalar(node: Mapping[str, Any]) -> bool:
    return node.get("type") in ("string", "integer", "number", "boolean") or "enum" in node or "const" in node


def _as_written(node: Mapping[str, Any]) -> Any:
    """A default in the file's own words."""
    default = node["default"]
    return shown_duration(default) if isinstance(default, float) and _is_duration(node) else default


def _is_duration(node: Mapping[str, Any]) -> bool:
    kinds = [node, *node.get("anyOf", ())]
    return any(str(kind.get("pattern", "")).endswith(_SECONDS_PATTERN) for kind in kinds)


def shown_duration(seconds: float) -> str:
    """The shortest way to write it in the file."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
