"""The settings read the same DATABASE_URL as bootstrap.yaml."""

import os
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

BASE_DIR = Path(__file__).parents[1]
SECRET_KEY = os.environ.get("SECRET_KEY", "of an example")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "greetings.urls"
WSGI_APPLICATION = "greetings.wsgi.application"
INSTALLED_APPS = [
    "bootstrapper.integrations.django",
    "greetings",
]
BOOTSTRAPPER = {"FILE": BASE_DIR / "bootstrap.yaml"}

_address = conninfo_to_dict(os.environ["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _address.get("host", ""),
        "PORT": _address.get("port", ""),
        "USER": _address.get("user", ""),
        "PASSWORD": _address.get("password", ""),
        "NAME": _address["dbname"],
    }
}
