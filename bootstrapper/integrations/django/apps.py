"""The app for INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from bootstrapper.integrations.django.checks import pending_changes


class BootstrapperConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    name = "bootstrapper.integrations.django"
    label = "bootstrapper"

    def ready(self) -> None:
        """Registers the check; connects to nothing."""
        checks.register(pending_changes, checks.Tags.database)
