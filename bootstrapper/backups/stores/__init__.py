"""Stores backups: the contract of a `store` with a local `folder` and a `remote` one, the `manifest` beside each
dump and its `signature`, `retention` of dated names, `atomic_files` for drafts. Imports nothing of `take` or `restore`
but, through `backups.settings`, the options of pg_dump."""
