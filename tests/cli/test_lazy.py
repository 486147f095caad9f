"""Tests of the import of a command on demand."""

from __future__ import annotations

import gc
import subprocess
import sys

import click

from bootstrapper.cli import group

COLLECTIONS = """
import gc
from bootstrapper.cli import group
seen = []
gc.callbacks.append(lambda phase, about: seen.append(phase))
group.get_command(None, "apply")
print(len(seen), gc.isenabled())
"""


WITHOUT_A_COMMAND = """
import sys
from bootstrapper.cli import main
code = main(["--version"])
print(code, sorted(sys.modules.keys() & {"psycopg", "pydantic", "yaml", "asyncio", "bootstrapper.api.run"}))
"""


def test_the_command_line_itself_loads_neither_psycopg_nor_pydantic() -> None:
    found = subprocess.run([sys.executable, "-c", WITHOUT_A_COMMAND], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "0 []"


def test_a_command_is_imported_without_garbage_collection() -> None:
    found = subprocess.run([sys.executable, "-c", COLLECTIONS], capture_output=True, text=True, check=True)
    assert found.stdout == "0 True\n"


def test_disabled_garbage_collection_stays_disabled() -> None:
    gc.disable()
    try:
        group.get_command(click.Context(group), "plan")
        assert not gc.isenabled()
    finally:
        gc.enable()
