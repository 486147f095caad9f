"""Which run may write: `acquire` takes the lock once, `hold` keeps it, `transactions` lets every write pass the
`fence`. `heartbeat`, `pooled_look` and `pulse` keep it alive beside slow work, `lockstate` shows and breaks it,
`blockers` names the sessions in the way, `turnstile` and `host_queue` let few processes of one host connect at a
time. Imports `postgres.connection`, `postgres.ledger`, errors and deadline."""
