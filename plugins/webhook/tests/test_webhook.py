"""Posts to a real server: one that answers, fails, redirects, hangs or is not there."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError, URLError

import bootstrapper_webhook as webhook
import pytest

from bootstrapper.events import Event, RunFinished, RunStarted, ScopeEntered

STARTED = RunStarted("apply", "db.example.com:5432", "app", "production")
ENTERED = ScopeEntered("lock", run_id="01a2")
FAILED = RunFinished("failed", 4.2, 1, "StepFailedError", "division by zero")


class Receiver(ThreadingHTTPServer):
    """Answers each post with a status, once it may."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 204
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.posts: list[tuple[dict[str, object], str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((json.loads(body), self.headers[webhook.SECRET_HEADER]))
        self.server.may_answer.wait(30)
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", self.server.url)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    made = Receiver()
    monkeypatch.setenv(webhook.URL_VARIABLE, made.url)
    monkeypatch.delenv(webhook.SECRET_VARIABLE, raising=False)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.may_answer.set()
    made.shutdown()
    thread.join()
    made.server_close()


def observe(*events: Event) -> None:
    for event in events:
        webhook.bootstrapper_events(event)


def test_the_end_of_a_run_is_posted_with_its_secret(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(webhook.SECRET_VARIABLE, "correct-horse")
    observe(STARTED, ENTERED, FAILED)
    [(facts, secret)] = receiver.posts
    assert secret == "correct-horse"
    assert facts == {
        "command": "apply",
        "server": "db.example.com:5432",
        "database": "app",
        "environment": "production",
        "run_id": "01a2",
        "outcome": "failed",
        "seconds": 4.2,
        "applied": 1,
        "error": "StepFailedError",
        "reason": "division by zero",
    }


def test_a_run_that_had_nothing_to_do_is_not_posted(receiver: Receiver) -> None:
    observe(STARTED, RunFinished("unchanged", 0.1))
    assert receiver.posts == []


def test_nothing_is_posted_without_a_url(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(webhook.URL_VARIABLE)
    observe(STARTED, FAILED)
    assert receiver.posts == []


@pytest.mark.parametrize("status", [500, 404, 302])
def test_another_answer_than_a_success_is_an_error(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(HTTPError, match=f"HTTP Error {status}") as raised:
        observe(STARTED, FAILED)
    raised.value.close()
    assert len(receiver.posts) == 1  # a redirect is not followed


def test_a_server_that_hangs_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_SECONDS", 0.2)
    receiver.may_answer.clear()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        observe(STARTED, FAILED)
    assert time.monotonic() - started < 10


def test_a_server_that_is_not_there_is_an_error(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(webhook.URL_VARIABLE, "http://127.0.0.1:1/")
    with pytest.raises(URLError, match="refused"):
        observe(STARTED, FAILED)


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com", "http://"])
def test_another_kind_of_url_is_a_problem(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(webhook.URL_VARIABLE, url)
    [problem] = webhook.bootstrapper_configured(None)
    assert webhook.URL_VARIABLE in problem.message
