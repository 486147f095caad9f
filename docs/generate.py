"""Writes docs/reference from the code: the commands, steps, checks, values and hooks, and their options.

    python docs/generate.py

A test compares the pages with what this writes, so none of them is edited by hand.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import WithJsonSchema

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bootstrapper
from bootstrapper import events, testing
from bootstrapper.api import event_facts, functions
from bootstrapper.api.drift import Drift
from bootstrapper.api.event_log import EventLog
from bootstrapper.api.inspection import Status
from bootstrapper.api.project import Validation
from bootstrapper.api.run import Followed, Outcome, Ready
from bootstrapper.api.standing import FixtureState, LastBackup, Position
from bootstrapper.builtin import registry
from bootstrapper.cli import group
from bootstrapper.cli.explain import explanations
from bootstrapper.config import unit_fields
from bootstrapper.deadline import Deadline, Stop
from bootstrapper.doctor.privileges import COMMANDS, STEPS, WITHOUT_DATABASE, On, Right
from bootstrapper.engine.json_schema import attributes, json_schema, summary
from bootstrapper.engine.request import Request
from bootstrapper.errors import (
    BootstrapperError,
    ExitCode,
    Problem,
    RefusedError,
    Source,
    StepError,
    StepFailedError,
    UnreachableError,
)
from bootstrapper.migrations.schema.comparison import Difference
from bootstrapper.plans import (
    Action,
    Answer,
    Bounds,
    Change,
    Danger,
    DatabaseIdentity,
    Deferred,
    Finding,
    Hazard,
    HazardName,
    Plan,
    PlannedStep,
    Selection,
    State,
    TableLock,
    Verdict,
    payload_of,
)
from bootstrapper.plugin import hooks as hookspecs
from bootstrapper.plugin import traits
from bootstrapper.plugin.check import Check, Probe
from bootstrapper.plugin.context import Context
from bootstrapper.plugin.on_demand import loaded
from bootstrapper.plugin.options import StepModel
from bootstrapper.plugin.project import Project
from bootstrapper.plugin.renderer import Renderer
from bootstrapper.plugin.scopes import Gate, LockScope, Scope
from bootstrapper.plugin.state import StepState
from bootstrapper.plugin.step import Step, Unit
from bootstrapper.plugin.value import Value
from bootstrapper.postgres.health import Health
from bootstrapper.postgres.ledger.frozen import Freeze
from bootstrapper.postgres.ledger.records import RevisionRecord, RunHistory, StepRecord
from bootstrapper.postgres.lock.acquire import Holder
from bootstrapper.text import listed

FOLDER = Path(__file__).parent / "reference"
GAP = "\n\n"
NOTICE = "<!-- Written by docs/generate.py from the code. Do not edit it by hand. -->"
SCHEMA = json_schema()
DEFINITIONS: dict[str, Any] = SCHEMA["$defs"]

FUNCTIONS = (
    *("plan", "apply", "follow", "status", "drift", "wait", "validate", "url"),
    *("aplan", "aapply", "afollow", "astatus"),
    *("initialize_database", "seed_database", "is_database_initialized", "needs_migration", "wait_for_database"),
)
RESULTS = (Plan, Outcome, Followed, Ready, Status, Health, Drift, Difference, Validation, Stop)

STEP_EXAMPLES = {
    "wait": "- uses: wait\n  with: {timeout: 60s}",
    "lock": "- uses: lock\n  with: {timeout: 5m}",
    "backup": (
        "- uses: lock\n- uses: backup\n  with: {directory: backups, keep: 7}\n"
        "  when: {all: [{pending: [migrate]}, {not: {database: empty}}]}\n- uses: migrate"
    ),
    "extension": '- uses: lock\n- uses: extension\n  with: {name: vector, version: "0.8.0", schema: extensions}',
    "migrate": "- uses: lock\n- uses: migrate\n  with: {script_location: migrations}\n  check: {revision: head}",
    "seed": "- uses: lock\n- uses: seed\n  with: {fixtures: [tenants, users]}\n  check: {rows: {table: users}}",
    "sql": (
        "- uses: lock\n- uses: sql\n  name: admins\n"
        "  with: {statement: CREATE VIEW admins AS SELECT * FROM users WHERE role = 'superadmin'}\n"
        "  check: {table: admins}"
    ),
    "command": (
        "- uses: lock\n- uses: command\n  name: import-countries\n  with:\n    run: [python, import_countries.py]\n"
        "    timeout: 10m\n  check: {rows: {table: countries, at_least: 190}}"
    ),
}
CHECK_EXAMPLES = {
    "backup": "backup: {newer_than: 24h}",
    "database": "database: empty",
    "environment": "environment: [development, staging]",
    "extension": 'extension: {name: vector, version: "0.8.0"}',
    "fixtures": "fixtures: [tenants, users]",
    "never": "never",
    "once": "once: import-2026-01",
    "pending": "pending: [migrate]",
    "revision": "revision: head",
    "rows": "rows: {table: users, where: {role: superadmin}, at_least: 1}",
    "sql": "sql: SELECT count(*) > 10 FROM users",
    "table": "table: public.users",
}
VALUE_EXAMPLES = {
    "$command": "{$command: [vault, kv, get, -field=password, secret/app]}",
    "$env": "{$env: {name: API_TOKEN, secret: true}}",
    "$file": "{$file: /run/secrets/token}",
    "$literal": '{$literal: "${NAME} stays as it is"}',
    "$now": "{$now: }",
    "$password": '{$password: "${ADMIN_PASSWORD}"}',
    "$sql": "{$sql: gen_random_uuid()}",
    "$uuid": "{$uuid: tenants/default}",
}
EXIT_CODES = {
    ExitCode.DONE: "Done, or nothing to do.",
    ExitCode.FAILED: "A step failed, or what was verified is damaged. What earlier steps committed stays.",
    ExitCode.CONFIG: "Invalid usage or configuration. Nothing was changed.",
    ExitCode.BUG: "A bug in bootstrapper, with its traceback.",
    ExitCode.PENDING: "Changes are pending (`plan --exit-code`).",
    ExitCode.UNREACHABLE: "The database could not be reached in time.",
    ExitCode.REFUSED: "The server refused (not retryable): credentials, permission, missing database, TLS.",
    ExitCode.LOCKED: "A lock was not free in time, ours or that of a table, or another run took over ours.",
    ExitCode.STALE: "A change that the plan did not show, or a stale saved plan. What earlier steps committed stays.",
    ExitCode.GUARDED: "A guard refused, such as a hazard that is not allowed, or a question was not confirmed.",
    ExitCode.AHEAD: "The database or its ledger is ahead of this code.",
    ExitCode.INTERRUPTED: "Interrupted (SIGINT).",
    ExitCode.TERMINATED: "Terminated (SIGTERM).",
}
SECTIONS = {
    "Top level": SCHEMA,
    "database": DEFINITIONS["DatabaseConfig"],
    "environments": DEFINITIONS["EnvironmentConfig"],
    "steps": DEFINITIONS["StepConfig"],
    "fixtures": DEFINITIONS["FixtureConfig"],
    "ledger": DEFINITIONS["LedgerConfig"],
    "limits": DEFINITIONS["LimitsConfig"],
    "fleet": DEFINITIONS["FleetConfig"],
    "fleet.targets": DEFINITIONS["TargetsConfig"],
    "fleet.waves": DEFINITIONS["WaveConfig"],
}
TRAITS = (
    traits.Prepared,
    traits.Parted,
    traits.Bounded,
    traits.Explained,
    traits.Remarked,
    traits.ShowsSql,
    traits.Hazardous,
    traits.SeedsFixtures,
    traits.HasHeads,
)
CONTRACTS = (Unit, Step, Gate, Scope, Check, Probe, Value, Context, StepState, Project, Renderer)
MADE = (Change, Action, Deferred, Bounds, Finding, Hazard, TableLock, Answer, Verdict, Problem, Source)
KIT_SUITES = [
    *(testing.StepSuite, testing.CheckSuite, testing.ValueSuite, testing.RendererSuite, testing.GateSuite),
]
KIT_FUNCTIONS = [
    *(testing.assert_step_contract, testing.assert_drift_is_seen, testing.assert_step_survives_kills),
    *(testing.assert_check_contract, testing.assert_value_contract),
    *(testing.assert_renderer_contract, testing.assert_gate_contract),
]
GIVEN = (
    *(Deadline, Plan, PlannedStep, State, DatabaseIdentity, Selection),
    *(RunHistory, StepRecord, RevisionRecord, FixtureState, Position, LastBackup, Freeze, Holder),
)
RAISED = (StepFailedError, StepError, RefusedError, UnreachableError, BootstrapperError)


def pages() -> dict[str, str]:
    """Returns every page by its file name."""
    made = {
        "commands.md": commands(),
        "file.md": file(),
        "steps.md": steps(),
        "checks.md": checks(),
        "values.md": values(),
        "hooks.md": hooks(),
        "plugin-types.md": plugin_types(),
        "exit-codes.md": exit_codes(),
        "errors.md": error_codes(),
        "events.md": event_lines(),
        "python.md": python_api(),
        "privileges.md": privileges(),
        "hazards.md": hazards(),
    }
    return {name: f"{GAP.join((NOTICE, *parts))}\n" for name, parts in made.items()}


def commands() -> Iterator[str]:
    yield "# Commands"
    yield (
        "Data goes to stdout, everything else to stderr. A command without `--file` reads `bootstrap.yaml` in the "
        "working directory."
    )
    yield from _command(group, click.Context(group, info_name="bootstrapper"), level=1)


def _command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    if level > 1:
        yield f"{'#' * min(level, 3)} {context.command_path.removeprefix('bootstrapper ')}"
        yield inspect.cleandoc(command.help or "")
        if not isinstance(command, click.Group):
            yield f"```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```"
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    if records:
        yield table(("option", "meaning"), ((f"`{names}`", meaning) for names, meaning in records))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _command(child, click.Context(child, info_name=name, parent=context), level + 1)


def file() -> Iterator[str]:
    yield "# The file"
    yield (
        "`bootstrap.yaml` has these sections. [Interpolation](interpolation.md) and [overlays](overlays.md) have their "
        "own pages. Unknown keys are errors. Durations are written `250ms`, `5s`, `5m`, `1h` or `7d`. Relative paths "
        "start at the folder of the file that contains them."
    )
    for name, definition in SECTIONS.items():
        yield f"## {name}"
        yield definition["description"]
        yield _options(definition)


def steps() -> Iterator[str]:
    yield "# Steps"
    yield "The built-in steps. Every entry of `steps:` also takes the [keys of all steps](file.md#steps)."
    for kind in loaded(registry.bootstrapper_steps()):
        yield f"## {kind.uses}"
        yield summary(kind)
        yield _docstring(kind)
        yield _nature(kind)
        yield _options(DEFINITIONS[f"with.{kind.uses}"])
        yield f"```yaml\n{STEP_EXAMPLES[kind.uses]}\n```"


def _nature(kind: type[Unit]) -> str:
    if issubclass(kind, Gate):
        return "A gate: opened before planning. It takes neither `when` nor `check`."
    if issubclass(kind, LockScope):
        return "A scope: taken before the later steps if one of them has changes. It takes neither `when` nor `check`."
    assert issubclass(kind, Step)
    check = " It requires a `check`." if kind.needs_check else ""
    if kind.transactional:
        return f"A step that runs in one transaction with its ledger row.{check}"
    return f"A step outside a transaction: the ledger gets one row before it and one after it.{check}"


def checks() -> Iterator[str]:
    yield "# Checks"
    yield (
        "A check is a read-only question about the database or about files, answered with yes, no or unknown. It is "
        "written as one key with its argument. `all`, `any` and `not` combine checks; a list means `all`. `not` leaves "
        "unknown unchanged."
    )
    for kind in loaded(registry.bootstrapper_checks()):
        yield f"## {kind.key}"
        yield summary(kind)
        yield _docstring(kind)
        if kind.only_in_when:
            yield "Only allowed under `when`."
        model = _model(kind)
        if model:
            yield _options(model)
        yield f"```yaml check\n{CHECK_EXAMPLES[kind.key]}\n```"


def _model(kind: type[Check]) -> dict[str, Any] | None:
    """Returns the definition of a check's argument if it has keys."""
    found = [
        each for name, each in DEFINITIONS.items() if name.startswith(f"check.{kind.key}") and "properties" in each
    ]
    return found[0] if found else None


def values() -> Iterator[str]:
    yield "# Value functions"
    yield (
        "A value function is a mapping with one key that starts with `$`; a second key is an error. "
        "It replaces a single value. "
        "Arguments nest: `{$password: {$file: /run/secrets/admin}}`. In a fixture, `$ref` refers to a row of another "
        "fixture: `fixture.label`, `fixture.label.column`, or `{fixture: {key: value}}`."
    )
    for kind in registry.bootstrapper_values():
        yield f"## {kind.key}"
        yield summary(kind)
        yield _docstring(kind)
        may_compare = kind.is_compared is not Value.is_compared
        compared = "compared only if the argument asks for it" if may_compare else "never compared"
        traits = [
            (kind.secret, "The result is a secret and is never shown."),
            (kind.create_only, f"It is written when a row is created and {compared}."),
            (kind.needs_database, "Only allowed in fixtures."),
        ]
        if said := " ".join(text for is_so, text in traits if is_so):
            yield said
        yield f"```yaml value\n{VALUE_EXAMPLES[kind.key]}\n```"


def hooks() -> Iterator[str]:
    yield "# Hooks and contracts"
    yield (
        "A plugin is a module with functions marked `@bootstrapper.hookimpl`. "
        "[Write a plugin](../how-to/write-a-plugin.md) shows one from start to finish. What the methods take and "
        "return is described under [types for plugins](plugin-types.md). All names are imported from `bootstrapper`."
    )
    yield "## Hooks"
    for name, hook in vars(hookspecs).items():
        if name.startswith("bootstrapper_"):
            yield f"### {name}"
            yield f"```python\ndef {name}{_signature(hook)}\n```"
            yield inspect.getdoc(hook) or ""
    yield "## Contracts"
    yield "The classes that hooks return, and the objects that are passed to them."
    for kind in CONTRACTS:
        yield from _contract(kind)
    yield "## Traits of steps"
    yield inspect.cleandoc(traits.__doc__ or "")
    for kind in TRAITS:
        yield from _contract(kind)


def plugin_types() -> Iterator[str]:
    yield "# Types for plugins"
    yield (
        "What the [contracts](hooks.md) name. All are imported from `bootstrapper`, and [events](events.md) from "
        "`bootstrapper.events`. Texts are shown to people, in one "
        "line and without a full stop; known secrets in them are masked. All of these objects are immutable."
    )
    yield "## What a plugin makes"
    for kind in MADE:
        yield from _contract(kind)
    yield f"### payload_of\n\n```python\ndef payload_of{_signature(payload_of)}\n```"
    yield inspect.getdoc(payload_of) or ""
    yield "## What a plugin gets"
    for kind in GIVEN:
        yield from _contract(kind)
    yield "## Options"
    yield from _contract(StepModel)
    for name in ("Seconds", "Bytes"):
        kind, *others = get_args(getattr(unit_fields, name))
        example = next(each.json_schema["pattern"] for each in others if isinstance(each, WithJsonSchema))
        yield f"### {name}"
        yield f"{_UNITS[name]}, as `{kind.__name__}`. The file writes it as text that matches `{example}`."
    yield "## Errors"
    yield (
        "A plugin raises StepFailedError; gates also raise RefusedError and UnreachableError. [Exit codes]"
        "(exit-codes.md) lists all errors."
    )
    for error in RAISED:
        yield from _contract(error)
        arguments = _broken(f"{_signature(error.__init__).replace('self, ', '')}")
        yield f"```text\n{error.__name__}{arguments.removesuffix(' -> None')}\n```"
    yield "## Tests"
    yield "Imported from `bootstrapper.testing`. [Test a plugin](../how-to/test-a-plugin.md) shows how they are used."
    for kind in KIT_SUITES:
        yield from _contract(kind)
    for function in KIT_FUNCTIONS:
        yield f"### {function.__name__}"
        yield f"```python\n{function.__name__}{_broken(_signature(function))}\n```"
        yield _docstring(function)
    for kind in (testing.Trial, Request):
        yield from _contract(kind)
    yield "### NewTrial"
    yield (
        "The type of the fixture `new_trial` of a suite, `Callable[[], Trial]`: each call makes a folder and a "
        "database, which `database` and `prepare` have filled."
    )


_UNITS = {"Seconds": "A time, in seconds", "Bytes": "A size, in bytes"}


def _contract(kind: type) -> Iterator[str]:
    yield f"### {kind.__name__}"
    yield _docstring(kind)
    if issubclass(kind, Enum):
        yield ", ".join(f"`{each.name}`" for each in kind)
    members = list(_members(kind))
    if members:
        yield f"```python\n{GAP.join(members)}\n```"


def _members(kind: type) -> Iterator[str]:
    """Yields fields, then public methods and properties, each with its docstring as a comment."""
    hidden = {each.name for each in fields(kind) if each.metadata} if is_dataclass(kind) else set()
    own = [item for base in kind.__mro__[::-1] if is_dataclass(base) for item in inspect.get_annotations(base).items()]
    own = own or list(inspect.get_annotations(kind).items())
    attributes = [f"{name}: {text}" for name, text in own if not name.startswith("_") and name not in hidden]
    if attributes:
        yield "\n".join(attributes)
    for name, member in list(vars(kind).items()):
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if name.startswith("_") or not inspect.isfunction(function) or function.__name__ != name:
            continue
        decorator = f"@{type(member).__name__}\n" if isinstance(member, property | classmethod) else ""
        text = (inspect.getdoc(function) or "").splitlines()
        comment = "\n".join(f"    # {line}".rstrip() for line in text)
        yield f"{decorator}def {name}{_signature(function)}" + (f"\n{comment}" if comment else "")


def _signature(function: Callable[..., Any]) -> str:
    """Returns the signature without the quotes of postponed annotations."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))


def python_api() -> Iterator[str]:
    yield "# Python"
    yield inspect.getdoc(functions) or ""
    for name in FUNCTIONS:
        function = getattr(bootstrapper, name)
        yield f"## {name}"
        lead = "async def" if inspect.iscoroutinefunction(function) else "def"
        yield f"```text\n{lead} {name}{_broken(_signature(function))}\n```"
        yield _docstring(function)
    for kind in RESULTS:
        yield f"## {kind.__name__}"
        yield _docstring(kind)
        if is_dataclass(kind):
            yield table(("field", "type"), ((f"`{each.name}`", f"`{each.type}`") for each in fields(kind)))
    yield "## The log"
    yield _docstring(EventLog)


def _broken(signature: str) -> str:
    """Returns the signature with a line for each argument."""
    inner, _, result = signature.removeprefix("(").rpartition(") -> ")
    arguments = "".join(f"    {each},\n" for each in re.split(r", (?=[\w*]+(?::|,|$))", inner))
    return f"(\n{arguments}) -> {result}"


def exit_codes() -> Iterator[str]:
    yield "# Exit codes"
    yield "5 and 7 are retryable; the key `retryable` in `--log-format json` and `--report` says so."
    raised: dict[ExitCode, list[str]] = {}
    for kind in _leaves(BootstrapperError):
        raised.setdefault(kind.exit_code, []).append(f"[`{kind.__name__}`](errors.md#{kind.code.lower()})")
    rows = ((str(int(code)), EXIT_CODES[code], ", ".join(sorted(raised.get(code, [])))) for code in ExitCode)
    yield table(("code", "meaning", "errors"), rows)


def error_codes() -> Iterator[str]:
    yield "# Errors"
    yield (
        "Each kind of error has a code that stays the same in later releases: `BOOT-`, the [exit code](exit-codes.md) "
        "and two digits. The hint of an error ends with it, JSON has it as `code`, and `bootstrapper explain CODE` "
        "prints what this page says."
    )
    known = explanations()
    yield table(("code", "meaning"), ((f"[`{code}`](#{code.lower()})", each.title) for code, each in known.items()))
    for code, each in known.items():
        yield f"## {code}"
        yield f"**{each.title[0].upper()}{each.title[1:]}.** {each.meaning}"
        yield f"What to do: {each.remedy} [More](../{each.page})"


def hazards() -> Iterator[str]:
    yield "# Hazards"
    yield (
        "A hazard is a named danger of a change. Plans show the hazards of each step. A protected environment refuses "
        "those that destroy or block (exit code 9), unless they are allowed, by `--allow HAZARD` or by "
        "`limits: {allow: [HAZARD]}` of the step. [Review a plan](../how-to/review-a-plan.md#hazards) describes both."
    )
    rows = ((f"[`{name.value}`](#{name.value})", name.danger.value, name.meaning) for name in HazardName)
    yield table(("hazard", "danger", "meaning"), rows)
    for name in HazardName:
        yield f"## {name.value}"
        yield f"{name.meaning} {_DANGERS[name.danger]}"
        yield f"Safer: {name.safer}"


_DANGERS = {
    Danger.DESTROYS: "It destroys data: a protected environment refuses it unless it is allowed.",
    Danger.BLOCKS: "It blocks other sessions: a protected environment refuses it unless it is allowed.",
    Danger.WARNS: "It only warns.",
}


def privileges() -> Iterator[str]:
    yield "# Privileges"
    yield (
        "What a role needs beside LOGIN, by command and by step. `bootstrapper doctor` asks the server for what `apply`"
        " needs, with `--for plan` for what `plan` does, and prints a GRANT for each privilege that is missing. A "
        "superuser needs none of these; an owner has all of them on its own objects."
    )
    yield (
        "The ledger's schema and tables must belong to the role, to a role that it is a member of, to a superuser or "
        "to the owner of the database. When a newer release adds columns to them, its first run must be their owner's."
    )
    yield "## Commands"
    others = listed([f"`{name}`" for name in WITHOUT_DATABASE])
    yield f"{others} need none: they connect to no server, or to one of their own."
    for name, command in COMMANDS.items():
        yield f"### {name}"
        if command.also:
            yield f"Also {listed([f'`{other}`' for other in command.also])}."
        yield _rights(command.rights)
        if command.looks:
            what = "to look at its steps and to apply them" if command.applies else "to look at its steps"
            yield f"And what is needed {what}, below."
    yield "## Steps"
    yield (
        "`wait` and `lock` need nothing more. `sql` and `command` need what their statements and programs do; a check "
        "or a condition needs SELECT on what it asks about."
    )
    for name, step in STEPS.items():
        yield f"### {name}"
        if step.looks:
            yield "To look at it:"
            yield _rights(step.looks)
        yield "To apply it, also:" if step.looks else "To apply it:"
        yield _rights(step.applies)


def _rights(rights: Iterable[Right]) -> str:
    return table(("privilege", "on", "when"), ((_privilege(right), _on(right), _when(right)) for right in rights))


def _privilege(right: Right) -> str:
    return ", ".join(listed(one.split(","), "or") for one in right.privileges)


def _on(right: Right) -> str:
    if not right.names:
        return right.on.value
    names = listed([f"`{name}`" for name in right.names])
    plural = "s" if len(right.names) > 1 else ""
    match right.on:
        case On.LEDGER_TABLES:
            return f"the ledger's table{plural} {names}"
        case On.EXPIRED:
            return f"the ledger's table{plural} {names}, with `keep_for`"
        case _:
            return f"{'role' if right.on is On.ROLE else 'database'} {names}"


def _when(right: Right) -> str:
    return f"optional; without it, {right.without}" if right.without else right.when


EVENT_HEAD = {
    "time": "Time of the event, in UTC, as ISO 8601.",
    "level": "`info`, `warning` or `error`.",
    "event": "Name of the event.",
    "message": "The sentence that the text format shows.",
}
ERROR_LINE = {
    "code": "Code of the [kind of error](errors.md); none for a bug in bootstrapper.",
    "hint": "What to do about it; none if no remedy is known.",
    "exit_code": "The process's [exit code](exit-codes.md).",
    "retryable": "Whether the same command may succeed when repeated.",
    "sqlstate": "SQLSTATE of the server; none if no server refused.",
    "blockers": "Only if a lock was not free: the blocking sessions, with the keys of `step_blocked`.",
    "hazards": "Only if hazards were refused: their names, each once.",
    "source": "Place in the file, as `file:line:column`; none without a place.",
    "problems": "Only for an invalid file: each problem with `message`, `hint` and `source`.",
    "traceback": "Only for a bug in bootstrapper.",
}


_OBJECTS = {"PlannedStep": " The object holds the whole [PlannedStep](plugin-types.md#plannedstep)."}


def event_lines() -> Iterator[str]:
    yield "# Events"
    yield (
        "With `--log-format json`, stderr has one JSON object per event; with `apply --format json`, stdout has. Later "
        "releases may add keys and events, but rename and remove none. No event contains a secret."
    )
    yield "Each JSON object begins with:"
    yield table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in EVENT_HEAD.items()))
    yield (
        "In Python, an observer (`bootstrapper_events`) and `on_event` get objects of `bootstrapper.events`: "
        "`StepApplied` for `step_applied`. Their attributes are the keys listed below and, of `Warned`, `message`; "
        "they have no `time`, `level` or `event`. This function makes the JSON of one:"
    )
    signature = _signature(bootstrapper.event_data)
    yield f"```python\nfrom bootstrapper import event_data\n\ndef event_data{signature}\n```"
    yield inspect.getdoc(bootstrapper.event_data) or ""
    for kind in events.ALL:
        yield f"## {event_facts.name(kind)}"
        yield (inspect.getdoc(kind) or "").partition("\n\nAttributes:")[0]
        named = attributes(kind)
        yield table(
            ("key", "meaning"),
            (
                (f"`{each.name}`", f"{named[each.name]}{_OBJECTS.get(str(each.type), '')}")
                for each in fields(kind)
                if each.name != "message"
            ),
        )
    yield "## error"
    yield "The last line of a command that failed."
    yield table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in ERROR_LINE.items()))


def _leaves(kind: type[BootstrapperError]) -> Iterator[type[BootstrapperError]]:
    below = kind.__subclasses__()
    if not below or kind.__name__ == "RunInterrupted":
        yield kind
    for each in below:
        yield from _leaves(each)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _docstring(kind: Any) -> str:
    """Returns the docstring of a class or function, with attributes as a list."""
    lines = []
    for line in (inspect.getdoc(kind) or "").splitlines():
        name, colon, text = line.strip().partition(":")
        if line.strip() in ("Attributes:", "Args:"):
            continue
        is_entry = line.startswith("    ") and not line.startswith("     ") and colon
        lines.append(f"- `{name}`:{text}" if is_entry else f"  {line.strip()}" if line.startswith(" ") else line)
    return "\n".join(lines)


def _options(definition: dict[str, Any]) -> str:
    required = definition.get("required", [])
    rows = [
        (f"`{name}`", "required" if name in required else _default(node), _kind(node), node.get("description", ""))
        for name, node in definition.get("properties", {}).items()
        if node is not False
    ]
    return table(("key", "default", "type", "meaning"), rows) if rows else "No options."


def _default(node: dict[str, Any]) -> str:
    default = node.get("default")
    return "" if default is None else f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _kind(node: dict[str, Any]) -> str:
    kinds = [_one_kind(each) for each in node.get("anyOf", [node]) if each.get("maxLength") != 0]
    return " or ".join(dict.fromkeys(kind for kind in kinds if kind))


def _one_kind(node: dict[str, Any]) -> str:
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        known = {"When": "check", "Check": "check", "Row": "row", "ValueFunction": ""}
        return known.get(name, "" if name == "Interpolated" else "mapping")
    if "enum" in node or "const" in node:
        return " or ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    if "pattern" in node and "(ms|s" in node["pattern"]:
        return "duration"
    types = node.get("type", "")
    if isinstance(types, list):
        return "scalar"
    if types == "array":
        return "list"
    return {"string": "string", "integer": "integer", "boolean": "boolean", "object": "mapping"}.get(types, "")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
