"""What the SQL of pending revisions would lock, rewrite and drop on a live database: `locks` reads statements by the
patterns of `lockrules` and `causes`, `lint` weighs them against the tables that exist (`tables`, `known`, `held`),
`contents` tells whether there are any rows, `squawk` runs that linter, `review` joins them, `revision_sql` renders
revisions for a plan and their hazards. Imports
migrations.planned, migrations.worker, plugin and postgres."""
