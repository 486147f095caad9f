"""One module for each built-in check, the questions under `when` and `check`: `table`, `rows`, `sql`, `revision` and
others. They do not import each other."""
