"""Restores a backup: `choose`, `fetch` and `dump_reader` provide the verified dump, `restore_plan` and `privileges` say
what the restore would do and need. `new_database` restores beside the old database and swaps their names, `in_place`
within it; `pg_restore` and `psql` run the programs, `trial_restore` verifies a dump. Imports `stores` and `take`."""
