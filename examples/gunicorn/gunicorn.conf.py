"""Brings up the database once, before the workers are forked.

gunicorn app:app --workers 4
"""

from bootstrapper.integrations.gunicorn import on_reload, on_starting

__all__ = ["on_reload", "on_starting"]
