"""The dictionary BOOTSTRAPPER of a project's settings."""

from __future__ import annotations

from typing import get_args

from bootstrapper.integrations.extras import extra
from bootstrapper.integrations.startup import Mode, Startup
from bootstrapper.text import listed

_KEYS = ("FILE", "ENVIRONMENT", "MODE", "TIMEOUT")


def configured() -> Startup:
    """Returns what the settings say; raises ImproperlyConfigured if that is not valid."""
    given = dict(getattr(extra("django.conf", "django").settings, "BOOTSTRAPPER", {}))
    unknown = [repr(key) for key in given if key not in _KEYS]
    if unknown:
        raise _improper(f"unknown {listed(unknown)} in BOOTSTRAPPER; valid are {', '.join(_KEYS)}")
    if given.get("MODE", "apply") not in get_args(Mode):
        raise _improper(f"MODE in BOOTSTRAPPER is {given['MODE']!r}; valid are {', '.join(get_args(Mode))}")
    if not isinstance(given.get("TIMEOUT"), int | float | None):
        raise _improper(f"TIMEOUT in BOOTSTRAPPER is {given['TIMEOUT']!r}; valid is a number of seconds")
    return Startup(**{key.lower(): value for key, value in given.items()})


def _improper(message: str) -> Exception:
    error: Exception = extra("django.core.exceptions", "django").ImproperlyConfigured(message)
    return error
