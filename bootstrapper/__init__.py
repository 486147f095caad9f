"""Brings a PostgreSQL database to the state that one YAML file declares, and proves it.

The functions are the commands of the same names, with versions for asyncio, and those that an application calls when it
starts. The other names are all that plugins need. All are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bootstrapper.api.arguments import File as File
    from bootstrapper.api.arguments import OnEvent as OnEvent
    from bootstrapper.api.asynchronous import ApplyOptions as ApplyOptions
    from bootstrapper.api.asynchronous import FollowOptions as FollowOptions
    from bootstrapper.api.asynchronous import PlanOptions as PlanOptions
    from bootstrapper.api.asynchronous import StatusOptions as StatusOptions
    from bootstrapper.api.asynchronous import aapply as aapply
    from bootstrapper.api.asynchronous import afollow as afollow
    from bootstrapper.api.asynchronous import aplan as aplan
    from bootstrapper.api.asynchronous import astatus as astatus
    from bootstrapper.api.drift import Drift as Drift
    from bootstrapper.api.event_facts import event_data as event_data
    from bootstrapper.api.functions import apply as apply
    from bootstrapper.api.functions import drift as drift
    from bootstrapper.api.functions import follow as follow
    from bootstrapper.api.functions import plan as plan
    from bootstrapper.api.functions import save_plan as save_plan
    from bootstrapper.api.functions import status as status
    from bootstrapper.api.functions import url as url
    from bootstrapper.api.functions import validate as validate
    from bootstrapper.api.functions import wait as wait
    from bootstrapper.api.initialization import initialize_database as initialize_database
    from bootstrapper.api.initialization import is_database_initialized as is_database_initialized
    from bootstrapper.api.initialization import needs_migration as needs_migration
    from bootstrapper.api.initialization import seed_database as seed_database
    from bootstrapper.api.initialization import wait_for_database as wait_for_database
    from bootstrapper.api.inspection import Status as Status
    from bootstrapper.api.outcomes import Followed as Followed
    from bootstrapper.api.outcomes import Outcome as Outcome
    from bootstrapper.api.outcomes import Ready as Ready
    from bootstrapper.api.project import Validation as Validation
    from bootstrapper.api.standing import FixtureState as FixtureState
    from bootstrapper.api.standing import LastBackup as LastBackup
    from bootstrapper.api.standing import Position as Position
    from bootstrapper.config.unit_fields import Bytes as Bytes
    from bootstrapper.config.unit_fields import Seconds as Seconds
    from bootstrapper.deadline import Deadline as Deadline
    from bootstrapper.deadline import Stop as Stop
    from bootstrapper.errors import BootstrapperError as BootstrapperError
    from bootstrapper.errors import ExitCode as ExitCode
    from bootstrapper.errors import Problem as Problem
    from bootstrapper.errors import RefusedError as RefusedError
    from bootstrapper.errors import Source as Source
    from bootstrapper.errors import StepError as StepError
    from bootstrapper.errors import StepFailedError as StepFailedError
    from bootstrapper.errors import UnreachableError as UnreachableError
    from bootstrapper.events import Event as Event
    from bootstrapper.events import Warned as Warned
    from bootstrapper.migrations.interrupted.invalid_objects import InvalidObject as InvalidObject
    from bootstrapper.migrations.schema.comparison import Difference as Difference
    from bootstrapper.plans import Action as Action
    from bootstrapper.plans import Answer as Answer
    from bootstrapper.plans import Bounds as Bounds
    from bootstrapper.plans import Change as Change
    from bootstrapper.plans import Danger as Danger
    from bootstrapper.plans import DatabaseIdentity as DatabaseIdentity
    from bootstrapper.plans import Deferred as Deferred
    from bootstrapper.plans import Finding as Finding
    from bootstrapper.plans import Hazard as Hazard
    from bootstrapper.plans import HazardName as HazardName
    from bootstrapper.plans import JSONValue as JSONValue
    from bootstrapper.plans import Plan as Plan
    from bootstrapper.plans import PlannedStep as PlannedStep
    from bootstrapper.plans import Selection as Selection
    from bootstrapper.plans import State as State
    from bootstrapper.plans import TableLock as TableLock
    from bootstrapper.plans import Verdict as Verdict
    from bootstrapper.plans import payload_of as payload_of
    from bootstrapper.plugin.check import Check as Check
    from bootstrapper.plugin.check import Probe as Probe
    from bootstrapper.plugin.context import Context as Context
    from bootstrapper.plugin.hooks import hookimpl as hookimpl
    from bootstrapper.plugin.options import StepModel as StepModel
    from bootstrapper.plugin.project import Project as Project
    from bootstrapper.plugin.renderer import Renderer as Renderer
    from bootstrapper.plugin.scopes import Gate as Gate
    from bootstrapper.plugin.scopes import Scope as Scope
    from bootstrapper.plugin.state import StepState as StepState
    from bootstrapper.plugin.step import Step as Step
    from bootstrapper.plugin.step import Unit as Unit
    from bootstrapper.plugin.traits import Bounded as Bounded
    from bootstrapper.plugin.traits import Explained as Explained
    from bootstrapper.plugin.traits import HasHeads as HasHeads
    from bootstrapper.plugin.traits import Hazardous as Hazardous
    from bootstrapper.plugin.traits import Parted as Parted
    from bootstrapper.plugin.traits import Prepared as Prepared
    from bootstrapper.plugin.traits import Remarked as Remarked
    from bootstrapper.plugin.traits import SeedsFixtures as SeedsFixtures
    from bootstrapper.plugin.traits import ShowsSql as ShowsSql
    from bootstrapper.plugin.value import UNKNOWN as UNKNOWN
    from bootstrapper.plugin.value import Unknown as Unknown
    from bootstrapper.plugin.value import Value as Value
    from bootstrapper.postgres.health import BlockedSession as BlockedSession
    from bootstrapper.postgres.health import Health as Health
    from bootstrapper.postgres.health import LongTransaction as LongTransaction
    from bootstrapper.postgres.health import NearSequence as NearSequence
    from bootstrapper.postgres.health import SlowStatement as SlowStatement
    from bootstrapper.postgres.ledger.frozen import Freeze as Freeze
    from bootstrapper.postgres.ledger.records import RevisionRecord as RevisionRecord
    from bootstrapper.postgres.ledger.records import RunHistory as RunHistory
    from bootstrapper.postgres.ledger.records import StepRecord as StepRecord
    from bootstrapper.postgres.lock.acquire import Holder as Holder

_HOMES = {
    "Action": "plans",
    "Answer": "plans",
    "ApplyOptions": "api.asynchronous",
    "BlockedSession": "postgres.health",
    "BootstrapperError": "errors",
    "Bounded": "plugin.traits",
    "Bounds": "plans",
    "Bytes": "config.unit_fields",
    "Change": "plans",
    "Check": "plugin.check",
    "Context": "plugin.context",
    "Danger": "plans",
    "DatabaseIdentity": "plans",
    "Deadline": "deadline",
    "Deferred": "plans",
    "Difference": "migrations.schema.comparison",
    "Drift": "api.drift",
    "Event": "events",
    "ExitCode": "errors",
    "Explained": "plugin.traits",
    "File": "api.arguments",
    "Finding": "plans",
    "FixtureState": "api.standing",
    "FollowOptions": "api.asynchronous",
    "Followed": "api.outcomes",
    "Freeze": "postgres.ledger.frozen",
    "Gate": "plugin.scopes",
    "HasHeads": "plugin.traits",
    "Hazard": "plans",
    "HazardName": "plans",
    "Hazardous": "plugin.traits",
    "Health": "postgres.health",
    "Holder": "postgres.lock.acquire",
    "InvalidObject": "migrations.interrupted.invalid_objects",
    "JSONValue": "plans",
    "LastBackup": "api.standing",
    "LongTransaction": "postgres.health",
    "NearSequence": "postgres.health",
    "OnEvent": "api.arguments",
    "Outcome": "api.outcomes",
    "Parted": "plugin.traits",
    "Plan": "plans",
    "PlanOptions": "api.asynchronous",
    "PlannedStep": "plans",
    "Position": "api.standing",
    "Prepared": "plugin.traits",
    "Probe": "plugin.check",
    "Problem": "errors",
    "Project": "plugin.project",
    "Ready": "api.outcomes",
    "RefusedError": "errors",
    "Remarked": "plugin.traits",
    "Renderer": "plugin.renderer",
    "RevisionRecord": "postgres.ledger.records",
    "RunHistory": "postgres.ledger.records",
    "Scope": "plugin.scopes",
    "Seconds": "config.unit_fields",
    "SeedsFixtures": "plugin.traits",
    "Selection": "plans",
    "ShowsSql": "plugin.traits",
    "SlowStatement": "postgres.health",
    "Source": "errors",
    "State": "plans",
    "Status": "api.inspection",
    "StatusOptions": "api.asynchronous",
    "Step": "plugin.step",
    "StepError": "errors",
    "StepFailedError": "errors",
    "StepModel": "plugin.options",
    "StepRecord": "postgres.ledger.records",
    "StepState": "plugin.state",
    "Stop": "deadline",
    "TableLock": "plans",
    "UNKNOWN": "plugin.value",
    "Unit": "plugin.step",
    "Unknown": "plugin.value",
    "UnreachableError": "errors",
    "Validation": "api.project",
    "Value": "plugin.value",
    "Verdict": "plans",
    "Warned": "events",
    "aapply": "api.asynchronous",
    "afollow": "api.asynchronous",
    "aplan": "api.asynchronous",
    "apply": "api.functions",
    "astatus": "api.asynchronous",
    "drift": "api.functions",
    "event_data": "api.event_facts",
    "follow": "api.functions",
    "hookimpl": "plugin.hooks",
    "initialize_database": "api.initialization",
    "is_database_initialized": "api.initialization",
    "needs_migration": "api.initialization",
    "payload_of": "plans",
    "plan": "api.functions",
    "save_plan": "api.functions",
    "seed_database": "api.initialization",
    "status": "api.functions",
    "url": "api.functions",
    "validate": "api.functions",
    "wait": "api.functions",
    "wait_for_database": "api.initialization",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
