"""Failed and killed migrations: `failure_hint` says where the database is now, `autocommit` finds revisions that were
interrupted in a block, `invalid_objects` indexes and constraints that they left, `repair` makes findings and changes of
both. Imports migrations.history, migrations.state, migrations.worker, plugin and postgres."""
