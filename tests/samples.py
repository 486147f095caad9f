"""The repository's own bootstrap.yaml, run in process, and what a run of it with nothing to do sends to the server."""

from __future__ import annotations

import shutil
from pathlib import Path

from bootstrapper.api import run
from bootstrapper.engine.request import Request
from tests.round_trips import CountingProxy
from tests.waiting import at_most, eventually

ROOT = Path(__file__).parents[1]
READABLE = "?sslmode=disable&gssencmode=disable"
"""Ends a URL, so that a proxy can read what goes through it."""


def copy_sample(folder: Path) -> Path:
    for name in ("config", "migrations", "plugins"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("bootstrap.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def request_of(folder: Path, url: str) -> Request:
    variables = {"DATABASE_URL": url + READABLE}
    file = folder / "bootstrap.yaml"
    return Request(file=file, environment="development", variables=variables, timeout_seconds=at_most(60))


def apply_again(folder: Path, proxy: CountingProxy, url: str) -> None:
    """Applies what there is to do, directly, and then once more through the proxy, which counts."""
    run.apply(request_of(folder, url))
    proxy.forget()
    outcome = run.apply(request_of(folder, proxy.url(url)))
    assert (outcome.applied, outcome.run_id) == ((), None)
    assert eventually(lambda: proxy.is_quiet)
