"""Databases that have tables but no version: `unversioned` finds them, `scratch` makes a temporary database,
`comparison` compares two schemas, also for `drift`, `adoption` records the version if they are equal. What revisions
built is found by `objects` and dropped by `removal`. Imports migrations.history, migrations.worker, migrations.planned,
plugin and postgres."""
