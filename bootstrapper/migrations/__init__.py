"""The work behind `migrate`, `upgrade`, `downgrade`, `stamp` and `revision`: `project` finds the files of an Alembic
project, `history` reads its revisions and the version rows, `state` compares the two, `planned` makes changes of that,
`worker` runs the project's Alembic in another process, `commands` has the steps behind the commands, `schema` adopts a
database without a version, `interrupted` repairs what a killed migration left, `linting` says what pending SQL would
lock. Imports plugin, postgres, config and the modules at the bottom; of other engines only the hint to restore a
backup."""
