"""What comes with the tool: steps, checks, value functions and renderers, one module each, registered by `registry`
through the same hooks that plugins of third parties use. Imports the packages that do the work (fixtures, migrations,
backups), the contracts and all below; nothing here imports the engine."""
