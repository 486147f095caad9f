"""One module for each built-in step: `wait`, `lock`, `backup`, `extension`, `migrate`, `seed`, `sql`, `command`. They
hold options and contract; the work is done in fixtures, migrations and backups. They do not import each other."""
