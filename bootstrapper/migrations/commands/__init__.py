"""The steps behind commands: `downgrade`, `stamp`, `new_revision`, and `operations`, which makes them of the step in
the file; `relative` resolves targets such as +1. Imports all other packages of migrations, plugin and postgres."""
