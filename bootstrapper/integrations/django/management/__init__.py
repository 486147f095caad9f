"""What Django looks for in an app: `commands`, each a module. Imports the integrations; only Django imports it."""
