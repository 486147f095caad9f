"""One function for each command, which returns data: `run` plans and applies, `inspection` and `locking` read and
break the lock, `freezing` and `environments` mark a database by `marking`, `project` answers about the file, `init`
writes the first one, `restore` puts `backups` back, `snapshots` handles those of the embedded server. Over them, what
the package offers to programs: `functions`, `initialization` and `asynchronous`, whose events `event_log` logs. Nothing
here prints or exits; only `functions` reads the environment of the process. Imports the engine and all below; only the
command line, the test kit and integrations import it."""
