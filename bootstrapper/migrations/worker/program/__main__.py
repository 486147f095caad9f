"""Runs the worker; started as a folder: `python .../program CONTROL EVENTS`, where both are pipe descriptors."""

from __future__ import annotations

import gc
import os
import sys

if gc.isenabled():
    gc.disable()  # until everything is loaded: looking through modules for garbage is a fifth of loading them

import bootstrapper_worker  # noqa: F401 - its modules are found without the folder in the path

del sys.path[0]  # this folder: the project is to find only its own modules

from bootstrapper_worker.main import finish, main  # noqa: E402 - imports Alembic, which this folder must not hide

if __name__ == "__main__":
    code = main()
    finish()
    os._exit(code)
