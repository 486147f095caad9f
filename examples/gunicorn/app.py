"""A WSGI application; gunicorn.conf.py brings up its database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        rows = connection.execute("SELECT text FROM greetings ORDER BY text").fetchall()
    start_response("200 OK", [("content-type", "application/json")])
    return [json.dumps([row[0] for row in rows]).encode()]
