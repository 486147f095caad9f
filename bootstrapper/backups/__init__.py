"""Backups: `take` makes one with pg_dump and reads it back, `stores` keeps it with its manifest in a folder or at a
URL, `restore` puts it back. `settings` is the `with:` block of the step; `client_programs` runs PostgreSQL's programs.
`snapshots` copies the database of an embedded server. Imports plugin and everything below it; the step, the check,
`api.restore` and `api.snapshots` import it."""
