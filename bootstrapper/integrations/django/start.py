"""Start-up of a Django project, for its wsgi.py or asgi.py.

application = bootstrapped(get_wsgi_application())
"""

from __future__ import annotations

from typing import TypeVar

from bootstrapper.integrations.django.configuration import configured

_Application = TypeVar("_Application")


def bootstrapped(application: _Application) -> _Application:
    """Brings up the database as BOOTSTRAPPER in the settings says, and returns the application.

    A failure is logged, and ends the process with the exit code of the error. SIGTERM and SIGINT end the start within
    two seconds.
    """
    configured().run_in_process()
    return application
