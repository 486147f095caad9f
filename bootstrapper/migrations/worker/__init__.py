"""The process that runs a project's Alembic: `request` and `fence_statements` make what it is sent, `process` and
`launch` start it and read its events, `early` starts it ahead of a first apply, `runner` makes progress and errors of
them, `offline_sql` asks for SQL instead, `worker_errors` words what went wrong. `program` is the process itself: it
runs in the project's interpreter, is started by path, and imports no bootstrapper. Imports migrations.project,
migrations.settings, plugin, postgres and config."""
