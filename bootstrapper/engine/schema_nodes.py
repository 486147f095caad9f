"""Rewrites nodes of a JSON Schema: what a place takes besides, what may be left out, and how a default is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

Schema = dict[str, Any]

IN_VARIABLES: Schema = {"$ref": "#/$defs/Interpolated"}
IN_FUNCTIONS: Schema = {"$ref": "#/$defs/ValueFunction"}
_ABOUT = ("description", "default")
_SECONDS_PATTERN = "(ms|s|m|h|d)$"


def reference_to(name: str) -> str:
    """Returns the URI of a definition; a plugin may use any text as a name."""
    return f"#/$defs/{quote(name.replace('~', '~0').replace('/', '~1'))}"


def relaxed(node: Any, instead: Sequence[Schema], *, null_is_absent: bool = False) -> Any:
    """The schema without titles, where a place that wants a single value also takes one of `instead`.

    Args:
        null_is_absent: Whether a key that may be left out may also stand there without a value.
    """
    if not isinstance(node, Mapping):
        return node
    if "^\\$" in node.get("patternProperties", {}):
        return dict(IN_FUNCTIONS)
    inner = partial(relaxed, instead=instead, null_is_absent=null_is_absent)
    kept = {key: each for key, each in node.items() if key not in ("title", "default", "format")}
    kept |= {key: inner(kept[key]) for key in ("items", "additionalProperties") if key in kept}
    kept |= {key: [inner(each) for each in kept[key]] for key in ("anyOf", "oneOf", "allOf") if key in kept}
    for key in {"properties", "$defs"} & set(kept):
        kept[key] = {name: inner(each) for name, each in kept[key].items()}
    if null_is_absent:
        for name in set(kept.get("properties", ())) - set(kept.get("required", ())):
            kept["properties"][name] = optional(kept["properties"][name], kept["properties"][name])
    if node.get("default") not in (None, "", [], {}):
        kept["default"] = _as_written(node)
    return joined(kept, [kept, *_instead_of(kept, instead)])


def _instead_of(node: Schema, instead: Sequence[Schema]) -> list[Schema]:
    """A text with a variable in it needs saying only where not every text fits."""
    if not _is_scalar(node):
        return []
    any_text = node.get("type") == "string" and not {"pattern", "enum", "const", "minLength"} & set(node)
    return [each for each in instead if not (any_text and each == IN_VARIABLES)]


def optional(node: Any, about: Mapping[str, Any]) -> Schema:
    """Takes null as well: a key without a value counts as absent."""
    return joined(about, [node, {"type": "null"}])


def joined(about: Mapping[str, Any], kinds: Sequence[Schema]) -> Schema:
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
