"""Servers and programs on this machine: `embedded` starts and stops a PostgreSQL in a folder (`cluster` its data,
`placement` its port and password, `unprivileged` and `namespace` its account, `reaper` its end), `serverprograms` and
`clienttools` find postgres, pg_dump and the like, `scratch` makes databases that a run has for itself. Imports
`postgres.connection.target`, config, errors and deadline."""
