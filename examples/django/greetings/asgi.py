"""uvicorn greetings.asgi:application"""

import os

from django.core.asgi import get_asgi_application

from bootstrapper.integrations.django.start import bootstrapped

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greetings.settings")
application = bootstrapped(get_asgi_application())
