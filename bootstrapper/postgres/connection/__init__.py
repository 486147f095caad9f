"""From an address to a session: `target`, `url` and `keywords` read the address; `connect`, `attempt`, `resolve`,
`libpq_errors` and `sqlstates` log in once and tell which failures are retryable; `session` is the connection of a
run, with the `settings` that it lends to statements of the project. The rest sends statements (`pipelining`,
`copying`, `interjection`), cuts SQL text (`statements`), and words the server's errors (`server_messages`)."""
