"""Spans of OpenTelemetry: one for each run, and in it one for each step, each revision and each backup.

    plugins: [bootstrapper.integrations.opentelemetry]

Only the API is used: which spans are exported, and where to, is up to the SDK of the process. A run is a child of the
span that the process is in, or of the one in the variable TRACEPARENT.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

from bootstrapper import __version__
from bootstrapper.events import (
    Event,
    RunFinished,
    RunStarted,
    ScopeEntered,
    StepApplied,
    StepFailed,
    StepProgressed,
    StepStarted,
    Warned,
)
from bootstrapper.integrations.extras import extra
from bootstrapper.plugin.hooks import hookimpl

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Span
else:
    trace = extra("opentelemetry.trace", "opentelemetry")

_PORT = 5432  # the conventions leave it out
_OTHER_ERROR = "_OTHER"  # where no type is known

_RUN = threading.local()
"""The spans of a run by its thread: each run has one of its own for its observer."""


@hookimpl
def bootstrapper_events(event: Event) -> None:
    if isinstance(event, RunStarted):
        _RUN.spans = _Spans(event)
    else:
        _RUN.spans.take(event)


class _Spans:
    """The spans of one run."""

    def __init__(self, event: RunStarted) -> None:
        host, _, port = event.server.rpartition(":")
        self._common: dict[str, str | int] = {"db.system.name": "postgresql", "db.namespace": event.database}
        if host and port.isdecimal():  # else it is the embedded server
            self._common["server.address"] = host.strip("[]")
            self._common |= {"server.port": int(port)} if int(port) != _PORT else {}
        self._tracer = trace.get_tracer("bootstrapper", __version__)
        about = {"db.operation.name": event.command}
        about |= {"bootstrapper.environment": event.environment} if event.environment is not None else {}
        self._run = self._started(f"bootstrapper {event.command}", _parent(), trace.SpanKind.INTERNAL, about)
        self._step: Span | None = None
        self._revision_began = 0

    def take(self, event: Event) -> None:
        match event:
            case ScopeEntered(run_id=str(run_id)):
                self._run.set_attribute("bootstrapper.run_id", run_id)
            case Warned():
                (self._step or self._run).add_event("warning", {"message": event.message})
            case StepStarted():
                about = {"db.operation.name": event.uses, "bootstrapper.step": event.step}
                self._step = self._inside(self._run, event.step, {**about, "bootstrapper.changes": event.changes})
                self._revision_began = time.time_ns()
            case StepProgressed() if self._step is not None:
                self._progress(event, self._step)
            case StepApplied() | StepFailed() if self._step is not None:
                if isinstance(event, StepFailed):
                    _fail(self._step, event.error, event.reason, event.sqlstate)
                self._step.end()
                self._step = None
            case RunFinished():
                self._finish(event)

    def _progress(self, event: StepProgressed, step: Span) -> None:
        if event.unit == "bytes":
            step.set_attribute("bootstrapper.bytes", event.done)
        if event.unit != "revisions":
            return
        now = time.time_ns()
        if event.detail:  # it was applied just now, and began where the one before it ended
            about = {"db.operation.name": "revision", "bootstrapper.revision": event.detail}
            self._inside(step, f"revision {event.detail}", about, began=self._revision_began).end(now)
        self._revision_began = now

    def _finish(self, event: RunFinished) -> None:
        if self._step is not None:  # an error that is not the step's cut it off
            _fail(self._step, event.error, event.reason)
            self._step.end()
            self._step = None
        self._run.set_attributes({"bootstrapper.outcome": event.outcome, "bootstrapper.applied": event.applied})
        if event.outcome in ("failed", "interrupted"):
            _fail(self._run, event.error, event.reason)
        self._run.end()

    def _inside(self, outer: Span, name: str, about: dict[str, Any], began: int | None = None) -> Span:
        return self._started(name, trace.set_span_in_context(outer), trace.SpanKind.CLIENT, about, began)

    def _started(
        self, name: str, parent: Context | None, kind: trace.SpanKind, about: dict[str, Any], began: int | None = None
    ) -> Span:
        return self._tracer.start_span(name, parent, kind, {**self._common, **about}, start_time=began)


def _parent() -> Context | None:
    """Returns the context to begin a run in; None for that of the caller, which the thread has."""
    if trace.get_current_span().get_span_context().is_valid:
        return None
    carrier = {name: os.environ.get(name.upper(), "") for name in ("traceparent", "tracestate")}
    propagation = extra("opentelemetry.trace.propagation.tracecontext", "opentelemetry")
    found: Context = propagation.TraceContextTextMapPropagator().extract(carrier)
    return found


def _fail(span: Span, error: str | None, reason: str | None, sqlstate: str | None = None) -> None:
    """Marks the span as failed; of the reason, only its headline is told, not what the server added."""
    span.set_attribute("error.type", sqlstate or error or _OTHER_ERROR)
    if sqlstate is not None:
        span.set_attribute("db.response.status_code", sqlstate)
    span.set_status(trace.StatusCode.ERROR, (reason or "").partition("\n")[0])
