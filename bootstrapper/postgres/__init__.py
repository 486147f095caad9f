"""All about the server: `connection` opens sessions, `ledger` has our tables, `lock` decides which run may write, and
`server` runs the embedded server and finds client programs. The first three import each other: a session checks the
ledger, and the lock is a row of it. Imports config, events, programs, plans, errors, text, masking and deadline."""
