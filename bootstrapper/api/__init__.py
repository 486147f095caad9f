"""One function for each command, which returns data: `run` plans and applies, `inspection` and `locking` read and
break the lock, `project` answers about the file, `init` writes the first one, `restore` handles backups. Nothing here
prints, exits or reads the environment of the process. Imports the engine and all below; only the command line, the test
kit and integrations import it."""
