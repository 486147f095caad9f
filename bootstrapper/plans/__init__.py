"""The data of a plan, the same in memory and as JSON: `changes` is what a step finds and `apply` gets, `hazards` the
closed list of their named dangers, `locks` the tables that they lock, `plan` the whole with its JSON.

A plan holds no secret: a change names the source of a secret value, never the value. Imports only `text`.
"""

from bootstrapper.plans.changes import (
    SQL,
    Action,
    Answer,
    Bounds,
    Change,
    ChangeLimits,
    Deferred,
    Finding,
    JSONValue,
    Verdict,
    payload_of,
    total,
    unset_in,
)
from bootstrapper.plans.hazards import Danger, Hazard, HazardName, refused, unknown_hazard
from bootstrapper.plans.locks import TableLock
from bootstrapper.plans.plan import FORMAT_VERSION, DatabaseIdentity, Plan, PlannedStep, Selection, State

__all__ = [
    "FORMAT_VERSION",
    "SQL",
    "Action",
    "Answer",
    "Bounds",
    "Change",
    "ChangeLimits",
    "Danger",
    "DatabaseIdentity",
    "Deferred",
    "Finding",
    "Hazard",
    "HazardName",
    "JSONValue",
    "Plan",
    "PlannedStep",
    "Selection",
    "State",
    "TableLock",
    "Verdict",
    "payload_of",
    "refused",
    "total",
    "unknown_hazard",
    "unset_in",
]
