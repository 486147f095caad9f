"""A Flask application that brings up its database before it takes requests.

flask run
gunicorn "app:create_app()"
flask bootstrap plan
"""

from __future__ import annotations

import os

import psycopg
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from bootstrapper.integrations.flask import init_app


def create_app() -> Flask:
    app = Flask(__name__)
    init_app(app)

    @app.get("/")
    def greet() -> ResponseReturnValue:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            rows = connection.execute("SELECT text FROM greetings ORDER BY text").fetchall()
        return jsonify([row[0] for row in rows])

    return app
