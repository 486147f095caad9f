"""A Celery application whose workers bring up the database before they take tasks.

celery --app tasks worker
"""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
from celery import Celery

from bootstrapper.integrations.celery import install

FOLDER = Path(__file__).parent / "messages"
FOLDER.mkdir(exist_ok=True)

app = Celery("greetings", broker=os.environ.get("BROKER_URL", "filesystem://"), backend=FOLDER.as_uri())
app.conf.broker_transport_options = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), str(FOLDER))
install(app)


@app.task
def greet() -> list[str]:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        rows = connection.execute("SELECT text FROM greetings ORDER BY text").fetchall()
    return [row[0] for row in rows]
