"""What the SQL of pending revisions would lock, rewrite and drop on a live database: `locks` reads statements by the
patterns of `lockrules`, `lint` weighs them against the tables that exist (`tables`, `known`, `held`, `hazards`),
`squawk` runs that linter, `review` joins both, `revision_sql` puts SQL and findings into a plan. Imports
migrations.planned, migrations.worker, plugin and postgres."""
