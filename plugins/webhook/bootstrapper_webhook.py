"""Posts the end of each run that did something, or failed, as JSON to the URL in BOOTSTRAPPER_WEBHOOK_URL.

An example of a plugin that is a distribution of its own. bootstrapper calls an observer in a thread of its own and
waits for it at the end of a run, for 5 seconds at most; before that, a post that takes TIMEOUT_SECONDS is given up.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from bootstrapper import Problem, hookimpl
from bootstrapper.events import Event, RunFinished, RunStarted, ScopeEntered
from bootstrapper.plugin.project import Project

URL_VARIABLE = "BOOTSTRAPPER_WEBHOOK_URL"
SECRET_VARIABLE = "BOOTSTRAPPER_WEBHOOK_SECRET"  # noqa: S105 - by its name, bootstrapper masks its value
SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - the name of it
TIMEOUT_SECONDS = 4.0

_RUN = threading.local()
"""What is known of a run, by its thread: each run has one of its own."""


@hookimpl
def bootstrapper_configured(project: Project) -> Sequence[Problem]:
    url = urlsplit(os.environ.get(URL_VARIABLE, "http://unset"))
    if url.scheme in ("http", "https") and url.hostname:
        return []
    return [Problem(f"${URL_VARIABLE} is not a URL that starts with http:// or https://")]


@hookimpl
def bootstrapper_events(event: Event) -> None:
    match event:
        case RunStarted():
            _RUN.facts = {**asdict(event), "run_id": None}
        case ScopeEntered(run_id=str(run_id)):
            _RUN.facts["run_id"] = run_id
        case RunFinished() if event.outcome != "unchanged":
            _post({**_RUN.facts, **asdict(event)})


def _post(facts: dict[str, Any]) -> None:
    """Raises an error unless the answer is a success; it names neither the URL nor the secret."""
    url, secret = os.environ.get(URL_VARIABLE), os.environ.get(SECRET_VARIABLE)
    if not url:
        return
    headers = {"Content-Type": "application/json"} | ({SECRET_HEADER: secret} if secret else {})
    request = Request(url, json.dumps(facts).encode(), headers)  # noqa: S310 - a URL of http, as was checked
    with build_opener(_NoRedirect).open(request, timeout=TIMEOUT_SECONDS):
        pass


class _NoRedirect(HTTPRedirectHandler):
    """Takes a redirect for an error: following it would hand the secret to another server."""

    def redirect_request(self, *_: object) -> None:
        return None
