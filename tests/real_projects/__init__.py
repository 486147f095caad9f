"""Real projects with real histories, run through bootstrapper and compared with plain Alembic."""
