"""Databases that have tables but no version: `unversioned` finds them, `scratch` makes a temporary database,
`comparison` compares two schemas, also for `drift`, `adoption` records the version if they are equal. Imports
migrations.history, migrations.worker, migrations.planned, plugin and postgres."""
