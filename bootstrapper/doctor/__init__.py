"""What `doctor` examines before anything is tried: `privileges` is the table of what each command and step needs,
`needs` makes of it the privileges on the objects of one project, which `objects` finds and `seeded` knows for fixtures;
`granted` asks the server which of them the role has, and `grants` writes statements for those that are missing.
`server_facts` reads what else is asked of the server; `server` judges it, `access` the privileges, `ledger_state` the
ledger, `machine` the programs, folders and variables of this machine. `result` is what one check found. Imports
fixtures, migrations, backups, plugin, postgres, config and errors."""
