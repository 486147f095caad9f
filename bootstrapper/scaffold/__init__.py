"""The first file of a project, for `init`: `survey` puts together what a folder shows of its database, from texts and
syntax trees (`sources`); no code of the project is imported. `alembic_projects` finds the Alembic configurations,
`imports` the modules behind env.py, `url_variables` the variables with the address by their names (`variable_names`),
`version_table` its name, `models` the tables. `bootstrap_file` is the text of the file, `gitignore` the lines beside
it. Imports fixtures.pull, migrations, plugin, config and errors."""
