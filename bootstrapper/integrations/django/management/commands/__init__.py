"""The commands of manage.py: `bootstrap`. Imports the integrations; only Django imports it."""
