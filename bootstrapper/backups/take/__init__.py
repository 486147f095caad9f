"""Takes a backup: `dump` plans and takes it, `pg_dump` finds the program and `pg_dump_options` its options, `streaming`
and `verify` read the dump back while it is written, `encryption` encrypts it, `retry` starts it again. Imports `stores`
and `backups.settings`; `restore` imports it for decryption, verification and the backup before an in-place restore."""
