"""Start-up of applications: `asgi` for FastAPI, Starlette and Litestar; for other servers and frameworks a module each.
All are thin over `startup`, which does what they have in common, and import their framework only when they are used;
`readiness` answers requests until an application is ready. Imports the api only; applications import it."""
