"""A Django project and its only app."""
