"""Which run may write: `acquire` attempts to take the lock once (the pauses between attempts are in the step,
`builtin/steps/lock.py`), `hold` keeps it, `transactions` lets every write pass the `fence`. `heartbeat`,
`pooled_look` and `pulse` keep it alive beside slow work, `lockstate` shows and breaks it, `blockers` names the
sessions in the way, `turnstile` and `host_queue` let few processes of one host connect at a time. Imports
`postgres.connection`, `postgres.ledger`, errors and deadline."""
