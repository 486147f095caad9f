"""`python -m bootstrapper`."""

from bootstrapper.cli import run

run()
