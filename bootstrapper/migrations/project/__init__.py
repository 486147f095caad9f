"""An Alembic project read without running it: `configuration` reads alembic.ini and pyproject.toml, `layout` the places
of env.py and revisions, `packages` finds places in packages by the program `locator`, `env_py` and `drivers` choose a
driver, `privileges` asks for the right to create tables. Imports migrations.settings, plugin, postgres and config."""
