"""Spans of whole runs, as an exporter gets them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bootstrapper.errors import BootstrapperError, UnreachableError
from tests.migrations.projects import write_env, write_revision
from tests.projects import TrialProject

EXPORTER = InMemorySpanExporter()
FILE = """
plugins: [bootstrapper.integrations.opentelemetry]
steps:
  - uses: lock
{steps}
"""
BACKUP = "  - {uses: backup, with: {directory: backups}}\n"
MIGRATE = "  - {uses: migrate, with: {script_location: migrations}}\n"
WITHOUT = """
import sys
for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
    del sys.modules[name]

class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Missing())
import runpy
sys.argv = ["bootstrapper", "plan", "-f", sys.argv[1]]
runpy.run_module("bootstrapper", run_name="__main__")
"""


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(EXPORTER))
    trace.set_tracer_provider(made)


@pytest.fixture(autouse=True)
def no_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACEPARENT", raising=False)
    EXPORTER.clear()


def spans() -> dict[str, ReadableSpan]:
    return {span.name: span for span in EXPORTER.get_finished_spans()}


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def test_a_run_has_a_span_and_in_it_steps_revisions_and_backups(project: TrialProject) -> None:
    write_env(project.folder)
    write_revision(project.folder, "r1", upgrade='op.execute("CREATE TABLE one ()")')
    write_revision(project.folder, "r2", "r1", upgrade='op.execute("CREATE TABLE two ()")')
    project.write(FILE.format(steps=BACKUP + MIGRATE))
    outcome = project.apply()
    found = spans()
    assert set(found) == {"bootstrapper apply", "backup", "migrate", "revision r1", "revision r2"}
    run, port = found["bootstrapper apply"], int(project.database.rpartition(":")[2].partition("/")[0])
    for span in found.values():
        about = dict(span.attributes or {})
        assert about["db.system.name"] == "postgresql"
        assert about["db.namespace"] == project.database.rpartition("/")[2]
        assert (about["server.address"], about["server.port"]) == ("127.0.0.1", port)
        assert (span.status.status_code, "error.type" in about) == (StatusCode.UNSET, False)
        assert span.kind is (SpanKind.INTERNAL if span is run else SpanKind.CLIENT)
    about = dict(run.attributes or {})
    assert (about["db.operation.name"], about["bootstrapper.run_id"]) == ("apply", str(outcome.run_id))
    assert (about["bootstrapper.outcome"], about["bootstrapper.applied"]) == ("done", 2)
    assert (found["backup"].attributes or {})["bootstrapper.bytes"]
    steps = [found["backup"], found["migrate"]]
    assert [parent_of(span) for span in (run, *steps)] == [None, *[run.context.span_id] * 2]
    assert {parent_of(found[name]) for name in ("revision r1", "revision r2")} == {found["migrate"].context.span_id}
    assert (found["revision r1"].end_time or 0) <= (found["revision r2"].start_time or 0)


def test_a_run_that_fails_says_so_in_the_step_and_in_the_run(project: TrialProject) -> None:
    sql = "  - {uses: sql, with: {statement: \"SELECT 1/0, 'secret value'\"}, check: never}\n"
    project.write(FILE.format(steps=sql))
    with pytest.raises(BootstrapperError):
        project.apply()
    run, step = spans()["bootstrapper apply"], spans()["sql"]
    assert {span.status.status_code for span in (run, step)} == {StatusCode.ERROR}
    assert "division by zero" in (step.status.description or "")
    about = dict(step.attributes or {})
    assert (about["error.type"], about["db.response.status_code"]) == ("22012", "22012")
    assert dict(run.attributes or {})["error.type"] == "StepFailedError"
    assert "secret value" not in "".join(span.to_json() for span in (run, step))


def test_a_run_that_reaches_no_server_has_the_type_of_its_error(project: TrialProject) -> None:
    project.write(
        FILE.format(steps="").replace("- uses: lock", "- {uses: wait, with: {timeout: 100ms}}\n  - uses: lock")
    )
    project.database = "postgresql://127.0.0.1:1/app"
    with pytest.raises(UnreachableError):
        project.apply()
    assert dict(spans()["bootstrapper apply"].attributes or {})["error.type"] == "UnreachableError"


def test_a_run_is_a_child_of_the_span_it_is_called_in_or_of_traceparent(
    project: TrialProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(FILE.format(steps="  - {uses: sql, with: {statement: SELECT 1}, check: never}\n"))
    monkeypatch.setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    project.apply()
    run = spans()["bootstrapper apply"]
    assert (run.context.trace_id, parent_of(run)) == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
    EXPORTER.clear()
    with trace.get_tracer("application").start_as_current_span("start") as start:
        project.apply()
    assert parent_of(spans()["bootstrapper apply"]) == start.get_span_context().span_id


def test_a_secret_is_in_no_span(project: TrialProject) -> None:
    project.variables["API_TOKEN"] = "correct-horse-battery"
    statement = "DO $$ BEGIN RAISE EXCEPTION 'token ${API_TOKEN}'; END $$"
    project.write(FILE.format(steps=f'  - {{uses: sql, with: {{statement: "{statement}"}}, check: never}}\n'))
    with pytest.raises(BootstrapperError):
        project.apply()
    assert "correct-horse" not in "".join(span.to_json() for span in spans().values())


def test_without_opentelemetry_the_error_names_the_extra(project: TrialProject, tmp_path: Path) -> None:
    file = project.write(FILE.format(steps=""))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(file)],
        env={"DATABASE_URL": project.database, "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "opentelemetry is not installed: run pip install 'pg-bootstrapper[opentelemetry]'" in done.stderr


def test_a_name_of_ours_that_does_not_exist_is_an_error_of_the_file(project: TrialProject) -> None:
    project.write(FILE.format(steps="").replace("opentelemetry", "telemetry"))
    with pytest.raises(BootstrapperError, match="no such plugin of bootstrapper"):
        project.plan()
