"""The program that runs a project's Alembic, in the project's own interpreter and folder.

It requires Python 3.9 or newer and Alembic 1.13 or newer, and imports only these: bootstrapper may not be installed in
that interpreter. The first line on the control pipe is the request, as JSON; the end of that pipe means that the parent
is gone. Events go out on the event pipe, one JSON object a line. Standard output and error belong to the project.

`main` reads the request; `online` works in the database, `offline` makes SQL; `alembic_hooks` puts the `fence` before
each revision and behind it, and starts it.
"""
