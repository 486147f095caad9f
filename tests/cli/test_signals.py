"""Tests of SIGINT and SIGTERM, sent to the process."""

from __future__ import annotations

import signal
import subprocess
import sys

import psycopg
import pytest

from tests.cli.project import BOOTSTRAP, ROOT, Project
from tests.waiting import at_most, eventually

SLEEPING = BOOTSTRAP.replace("INSERT INTO notes VALUES (1, 'Grüße')", "SELECT pg_sleep(60)")


def sleeping(project: Project, *options: str) -> subprocess.Popen[str]:
    """Starts an apply and returns it while its second step runs."""
    project.write(SLEEPING)
    process = subprocess.Popen(
        project.command("apply", *options),
        cwd=project.folder,
        env=project.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    query = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    with psycopg.connect(project.url, autocommit=True) as connection:
        asleep = eventually(lambda: process.poll() is not None or connection.execute(query).fetchone(), 20)
    if not asleep or process.poll() is not None:
        process.kill()
        raise AssertionError(process.communicate()[1])
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_and_its_statement(project: Project, number: signal.Signals, code: int) -> None:
    process = sleeping(project)
    process.send_signal(number)
    _, text = process.communicate(timeout=at_most(20))
    assert process.returncode == code, text
    assert f"error: interrupted by {number.name}" in text
    assert "Traceback" not in text
    with psycopg.connect(project.url) as connection:
        left = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert left.fetchone() == (1,)


TWICE = """
import os, signal, time
from bootstrapper.programs.signals import interruption_raises
with interruption_raises():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    except KeyboardInterrupt:
        os.kill(os.getpid(), signal.{second})
        time.sleep(5)
"""


@pytest.mark.parametrize(("second", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_second_signal_ends_the_process_at_once(offline: Project, second: str, code: int) -> None:
    command = [sys.executable, "-c", TWICE.format(second=second)]
    assert (
        subprocess.run(command, cwd=ROOT, env=offline.variables(), timeout=at_most(20), check=False).returncode == code
    )
