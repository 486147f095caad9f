"""Revisions: `revisions` reads one file, `history` and `order` the graph of all, `versions` reads and writes the
version rows, `connections` finds revisions with a second connection, `origin` the run that brought a revision.
Imports migrations.project and migrations.settings, plugin, postgres, config."""
