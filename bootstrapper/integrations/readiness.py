"""Whether an application that starts in the background is ready, and the answers to requests until it is."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from bootstrapper.api.event_facts import facts, name
from bootstrapper.errors import BootstrapperError
from bootstrapper.events import Event
from bootstrapper.plans import JSONValue

STATE = "bootstrapper"
"""The name under which a lifespan leaves the Readiness of its application."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_SHOWN = ("step", "done", "total", "unit")
_TRY_AGAIN_LATER = 1013  # RFC 6455's registry of close codes


class Readiness:
    """How far the start is; safe to read while another thread writes."""

    def __init__(self) -> None:
        self.is_ready = False
        self.state: Mapping[str, Any] = {}
        self._began = time.monotonic()
        self._progress: dict[str, JSONValue] = {}
        self._error: dict[str, JSONValue] | None = None

    def note(self, event: Event) -> None:
        """Keeps what the last event tells: names and numbers, since the answers to requests may be public."""
        found = facts(event)
        self._progress = {"event": name(event)} | {key: found[key] for key in _SHOWN if key in found}

    def succeed(self, state: Mapping[str, Any] | None = None) -> None:
        """Lets requests pass; each gets the state, as that of a lifespan."""
        self.state = state or {}
        self.is_ready = True

    def fail(self, error: Exception) -> None:
        """Records the error; its text is in the log."""
        self._error = {}
        if isinstance(error, BootstrapperError):
            self._error = {"code": error.code, "exit_code": int(error.exit_code), "retryable": error.retryable}

    def report(self) -> dict[str, JSONValue]:
        """Returns the status as JSON: `ready`, `failed`, or `starting` with the progress."""
        seconds = round(time.monotonic() - self._began, 1)
        if self.is_ready:
            return {"status": "ready"}
        if self._error is not None:
            return {"status": "failed", "seconds": seconds, "error": self._error}
        return {"status": "starting", "seconds": seconds, "progress": self._progress}


class ReadinessMiddleware:
    """Answers probes, and all requests until the database is ready; for an application with `asgi.lifespan`.

    `live` is answered with 200 at once; `ready` with 503 and the progress as JSON, and with 200 once the database is
    ready. Until then, every other request is answered with 503, and every WebSocket is closed.
    """

    def __init__(self, app: Application, live: str = "/livez", ready: str = "/readyz") -> None:
        self._app = app
        self._live = live
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        readiness = self._readiness(scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["type"] == "http" and path == self._live:
            await _respond(send, 200, {"status": "alive"})
        elif scope["type"] == "http" and path == self._ready:
            report = readiness.report() if readiness else {"status": "not started"}
            await _respond(send, 200 if readiness and readiness.is_ready else 503, report)
        elif readiness is None or readiness.is_ready:
            if readiness is not None and readiness.state:
                scope.setdefault("state", {}).update(readiness.state)
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _respond(send, 503, readiness.report())
        else:
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})

    def _readiness(self, scope: Scope) -> Readiness | None:
        """Returns what the lifespan left in the state of the application; None if it did not run.

        The middleware stands inside the application, which then is in the scope, or around it.
        """
        for app in (scope.get("app"), scope.get("litestar_app"), self._app):
            found: Readiness | None = getattr(getattr(app, "state", None), STATE, None)
            if found is not None:
                return found
        return None


async def _respond(send: Send, status: int, content: Mapping[str, JSONValue]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(b"retry-after", b"1")] if status == 503 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
