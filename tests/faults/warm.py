"""Imports everything that a run may need, so that a fork of this process starts at once."""

import importlib
import pkgutil

import passlib.context  # noqa: F401
import psycopg.types  # noqa: F401

import bootstrapper

for module in pkgutil.walk_packages(bootstrapper.__path__, "bootstrapper."):
    if not module.name.endswith(("__main__", ".worker", ".namespace", ".reaper")) and ".cli" not in module.name:
        importlib.import_module(module.name)
