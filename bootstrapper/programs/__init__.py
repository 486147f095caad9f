"""Runs other programs: `runner` to their end, `supervised` so that they end with this process, `ahead` before it is
known that they are needed, `streams` reads their output; `replacement` becomes one, `signals` are those of this
process. Imports deadline and errors only; steps, backups, migrations and the command line import it."""
