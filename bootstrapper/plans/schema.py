"""The JSON Schema of a plan, as `plan --format json` prints it and `plan --out` saves it."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from bootstrapper.plans.plan import Plan

_OF_FILES = {
    "digest": {"type": "string", "description": "SHA-256 over the canonical form of all the rest; only in files."},
    "signature": {
        "type": ["string", "null"],
        "description": "HMAC-SHA256 over the same with BOOTSTRAPPER_PLAN_KEY, in hexadecimal; only in files.",
    },
}


def plan_schema() -> dict[str, Any]:
    """Returns the schema; its definitions are the dataclasses of this package, without what is never written."""
    schema = TypeAdapter(Plan).json_schema()
    schema["properties"] |= _OF_FILES
    for shape in [schema, *schema["$defs"].values()]:
        shape.get("properties", {}).pop("payload", None)
        if "properties" in shape:
            shape["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
