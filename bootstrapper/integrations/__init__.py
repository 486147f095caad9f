"""Start-up of applications: `asgi` for FastAPI, Starlette and Litestar; for other servers and frameworks a module each.
All are thin over `startup`, which does what they have in common, and import their framework only when they are used
(`extras`). `readiness` answers requests until an application is ready; `commands` hands over to the command line, so
that `flask bootstrap` has all commands. Imports the command line and the api; only applications import it."""
