"""Brings a PostgreSQL database to the state that one YAML file declares, and proves it."""

__version__ = "0.1.0"
