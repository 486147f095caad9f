"""The Litestar example, as its users start it."""

from __future__ import annotations

from pathlib import Path

from tests.integrations.servers import example, serving

GREETINGS = ["Good morning", "Guten Morgen"]
LITESTAR = ["litestar", "--app", "app:app", "run", "--port", "{port}"]


def test_the_database_is_ready_before_the_first_request(tmp_path: Path, database: str) -> None:
    with serving(LITESTAR, example("litestar", tmp_path), database) as server:
        assert server.answers("/").json == GREETINGS
        assert server.end() == 143  # uvicorn stops, then ends by the signal itself
        assert "Application shutdown complete" in server.output
