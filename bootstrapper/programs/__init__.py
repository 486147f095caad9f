"""Runs other programs: `runner` to their end, `supervised` so that they end with this process, `streams` reads their
output. Imports deadline only; steps, backups and migrations import it."""
