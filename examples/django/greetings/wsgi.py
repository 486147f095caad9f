"""python manage.py runserver
gunicorn greetings.wsgi
"""

import os

from django.core.wsgi import get_wsgi_application

from bootstrapper.integrations.django.start import bootstrapped

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greetings.settings")
application = bootstrapped(get_wsgi_application())
