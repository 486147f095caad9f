"""Our tables in the database: `ledger` creates and writes them (its DDL is ledger.sql), `chain` appends to the steps
and verifies their hashes, `retention` removes old runs, `records` reads the history of runs back, `frozen` is the mark
with which no run applies anything, `environment_mark` that of an environment, `ownership` and `rights` tell whose they
are and who may read them, `run_ids` makes identifiers of runs. Imports `postgres.connection`, plans and errors."""
