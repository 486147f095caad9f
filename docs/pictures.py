"""Draws the pictures of docs/architecture.md: `python docs/pictures.py`. A test compares them with this code."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from drawing import Drawing, code_width

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"

_LAYERS = {
    "__main__": ("the program", "amber"),
    "integrations": ("applications that start", "amber"),
    "cli": ("commands; kits for tests", "amber"),
    "fleet": ("one file, many databases", "blue"),
    "api": ("one function a command", "blue"),
    "engine": ("open, plan, run a file", "blue"),
    "builtin": ("steps, checks, values, formats", "blue"),
    "doctor": ("privileges; the first file", "blue"),
    "fixtures": ("the work behind the steps", "green"),
    "plugin": ("contracts and hooks", "green"),
    "quick": ("is anything to do at all?", "green"),
    "postgres": ("sessions, lock, ledger", "green"),
    "config": ("the file, validated", "green"),
    "events": ("what happened; programs", "plain"),
    "plans": ("plans as data, errors, words", "plain"),
    "dataclass": ("compiles nothing", "plain"),
}
"""By the first name of a layer: what it is for, and its colour."""


_STAGES = (
    ("Quick look", """Digests the files and variables of the last
record and sends its statements again. No
driver, model or plugin is loaded.""", "blue"),
    ("Open", """Reads bootstrap.yaml, overlay and variables;
loads plugins; validates each step. The gates
(wait) open the one connection of the run.""", "plain"),
    ("Plan", """Asks all checks, compares revisions and rows.
The plan is data: what will change, and the
hazards of it.""", "blue"),
    ("Lock", """Takes the row of the lock: run id and token.
While it waits, it has no connection, and looks
again before each attempt.""", "amber"),
    ("Steps, one by one", """Asks when and check again, computes the
changes again: BEGIN, fence, changes, ledger
row, check once more, COMMIT.""", "amber"),
    ("Worker, for migrate", """A process of its own runs the project's
Alembic. For each revision: BEGIN, fence, DDL,
version row, fence, ledger row, COMMIT.""", "amber"),
    ("End", """Looks once more, writes the record for the next
quick look, then the outcome; releases the lock.""", "plain"),
)  # fmt: skip
"""What a run does, from top to bottom."""
_EARLY = {
    "Quick look": ("0: nothing to do", "as at the last record", "green"),
    "Open": ("2: file not valid", "5, 6: no connection", "red"),
    "Plan": ("0: nothing to do", "2, 9, 10: refused", "green"),
    "Lock": ("0: another run did it", "7: not free in time", "green"),
    "Steps, one by one": ("1: a step failed", "7: lost the lock", "red"),
}
"""With which exit code it ends at a stage."""
_SENT = {
    "Quick look": ("one READ ONLY transaction", "2 round trips"),
    "Open": ("one login", "to the server, or a pooler"),
    "Plan": ("one READ ONLY transaction", "rolled back"),
    "Lock": ("ledger: lock, runs", "token + 1, lease"),
    "Steps, one by one": ("tables, ledger: steps", "fenced, a transaction a step"),
    "Worker, for migrate": ("schema, ledger: revisions", "fenced, a transaction each"),
    "End": ("ledger: meta, runs", "the row of the lock is cleared"),
}
"""What a stage sends to the server."""
_READ_ONLY = {"Quick look", "Open", "Plan"}

_MESSAGES = (
    ("a", "->", "try the advisory lock, then the row", "FOR UPDATE SKIP LOCKED"),
    ("db", "amber", "Row of the lock", "run A, token 8, lease of 15 s"),
    ("a", "<-", "A holds the lock", ""),
    ("b", "->", "try", ""),
    ("b", "<-", "busy", ""),
    ("b", "plain", "B has no connection", "pauses for up to 5 s, and looks\nat the state before each\nattempt"),
    ("a", "->", "BEGIN, row FOR UPDATE: A and 8?", "changes, ledger row, check, COMMIT"),
    (
        "a",
        "red",
        "A stops",
        "paused, or cut off: the server\nends its connection (direct),\nor its lease is over (pooled)",
    ),
    ("b", "->", "state: still pending; try again", ""),
    ("db", "amber", "Row of the lock", "run B, token 9, lease of 15 s"),
    ("b", "<-", "B holds the lock", ""),
    ("b", "->", "BEGIN, row FOR UPDATE: B and 9?", "what is left, COMMIT"),
    ("a", "->", "A wakes: BEGIN, row FOR UPDATE", "A and 8? The row has B and 9"),
    ("a", "<-", "fenced off: ROLLBACK, exit code 7", ""),
    ("b", "->", "release: the row is cleared", ""),
    ("c", "->", "state: nothing is pending", "C ends with 0, without the lock"),
)
"""Who, how (to the server, from it, or a box of a colour), what, and more about it."""


def layers() -> Drawing:
    """Returns the layers, as import-linter enforces them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    found = next(each for each in settings["contracts"] if each["type"] == "layers")["layers"]
    row = 40
    drawing = Drawing(740, 84 + row * len(found), "The layers of the package, each of which may import those below it")
    drawing.text((24, 32), "A layer imports only what is below it", size=15, weight=600)
    for number, layer in enumerate(found):
        names = re.split(r" [|:] ", layer)
        said, colour = _LAYERS[names[0]]
        x, top = 60.0, 50 + row * number
        for name in names:
            width = code_width(name) + 24
            drawing.box((x, top), width, row - 8, colour)
            drawing.text((x + width / 2, top + 21), name, kind="code middle")
            x += width + 10
        drawing.text((500, top + 21), said, kind="soft")
    drawing.arrow([(34, 54), (34, 42 + row * len(found))])
    alike = "; ".join(layer.replace(" | ", ", ") for layer in found if " | " in layer)
    drawing.text((60, 66 + row * len(found)), f"Not each other either: {alike}", size=12, kind="soft")
    return drawing


def run() -> Drawing:
    """Returns the way of one run, from the command to the database."""
    drawing = Drawing(760, 810, "A run of apply, from the command to the database, and where it ends early")
    left, width, ends, database = 16, 310, 352, 536
    for x, said in ((left, "The process of bootstrapper"), (ends, "Ends early"), (database, "PostgreSQL")):
        drawing.text((x, 30), said, size=15, weight=600)
    drawing.box((database, 44), 208, 750)
    top, above = 44.0, None
    for title, text, colour in _STAGES:
        bottom = drawing.note((left, top), width, title, text, colour)
        if above is not None:
            drawing.arrow([(left + 60, above), (left + 60, top)])
        if title in _EARLY:
            code, reason, kind = _EARLY[title]
            drawing.arrow([(left + width, top + 22), (ends, top + 22)])
            drawing.box((ends, top), 156, 44, kind)
            drawing.text((ends + 10, top + 18), code, size=12.5, weight=600)
            drawing.text((ends + 10, top + 35), reason, size=12, kind="soft")
        where, how = _SENT[title]
        drawing.arrow([(left + width, bottom - 16), (database, bottom - 16)], dashed=title in _READ_ONLY)
        drawing.text((database + 10, bottom - 18), where, size=12.5, weight=600)
        drawing.text((database + 10, bottom - 2), how, size=12, kind="soft")
        above, top = bottom, bottom + 28
    drawing.text((left, 786), "dashed: only reads; solid: writes", size=12, kind="soft")
    return drawing


def lock() -> Drawing:
    """Returns how several replicas share the lock, and how one that lost it is fenced off."""
    drawing = Drawing(760, 890, "The lock between three replicas: one works, one takes over, one finds all done")
    columns = {"a": 112.0, "db": 350.0, "b": 588.0, "c": 704.0}
    names = {"a": "Replica A", "db": "PostgreSQL", "b": "Replica B", "c": "Replica C"}
    for key, x in columns.items():
        drawing.arrow([(x, 50), (x, 874)], dashed=True, tip=False)
        drawing.box((x - 50, 18), 100, 32, "blue" if key == "db" else "plain")
        drawing.text((x, 39), names[key], kind="middle", weight=600)
    y, server = 84.0, columns["db"]
    for who, how, said, more in _MESSAGES:
        x = columns[who]
        if how not in ("->", "<-"):
            y = drawing.note((x - 98, y - 18), 196, said, more, how) + 30
            continue
        ways = [(x, y), (server, y)]
        drawing.arrow(ways if how == "->" else ways[::-1], dashed=how == "<-")
        middle = (min(x, columns["b"]) + server) / 2
        drawing.text((middle, y - 7), said, size=12, kind="middle")
        drawing.text((middle, y + 16), more, size=11.5, kind="soft middle")
        y += 50 if more else 38
    return drawing


def pictures() -> dict[str, str]:
    """Returns the pictures by the name of their file."""
    return {f"{draw.__name__}.svg": draw().svg() for draw in (layers, run, lock)}


if __name__ == "__main__":
    for name, text in pictures().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
