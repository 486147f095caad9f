"""A Django app: `manage.py bootstrap` (`management`), a system check (`checks`), and `start` for wsgi.py and asgi.py,
all with the dictionary BOOTSTRAPPER of the settings (`configuration`). In INSTALLED_APPS it starts nothing by itself.
Imports the rest of the integrations; only Django projects import it."""
