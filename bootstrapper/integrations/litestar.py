"""Start-up of Litestar applications, answers to probes, and `litestar bootstrap`.

app = Litestar(..., plugins=[bootstrapper.integrations.litestar.BootstrapperPlugin("bootstrap.yaml")])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bootstrapper.api.arguments import File
from bootstrapper.integrations.asgi import Lifespan, ReadinessMiddleware, lifespan
from bootstrapper.integrations.commands import click_command
from bootstrapper.integrations.extras import extra
from bootstrapper.integrations.startup import Mode

if TYPE_CHECKING:
    from litestar.config.app import AppConfig

__all__ = ["BootstrapperPlugin"]


class BootstrapperPlugin:
    """Brings up the database before the application takes requests, as `asgi.lifespan` does, before other lifespans.

    Litestar calls middleware only for paths that the application has, so the plugin adds those of the probes.
    """

    def __init__(
        self,
        file: File | None = None,
        *,
        environment: str | None = None,
        mode: Mode = "apply",
        timeout: float | None = None,
        background: bool = False,
        inner: Lifespan | None = None,
        live: str = "/livez",
        ready: str = "/readyz",
    ) -> None:
        """Takes the arguments of `asgi.lifespan`, and the paths of the probes.

        With `background`, other lifespans of the application do not wait for the database; `inner` does.
        """
        startup: dict[str, Any] = {"environment": environment, "mode": mode, "timeout": timeout}
        self._lifespan = lifespan(file, background=background, inner=inner, **startup)
        self._command = click_command(file, environment)
        self._paths = {"live": live, "ready": ready}

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the lifespan, the middleware and the paths."""
        define = extra("litestar.middleware", "litestar").DefineMiddleware
        route = extra("litestar.handlers", "litestar").asgi(list(self._paths.values()), copy_scope=True)
        app_config.lifespan.insert(0, self._lifespan)
        app_config.middleware.insert(0, define(ReadinessMiddleware, **self._paths))
        app_config.route_handlers.append(route(_answered_before))
        return app_config

    def on_cli_init(self, cli: click.Group) -> None:
        """Adds `litestar bootstrap plan|apply|status|...`."""
        cli.add_command(self._command)


async def _answered_before(scope: Any, receive: Any, send: Any) -> None:
    """Stands for the paths of the probes, which the middleware answers."""
    raise AssertionError("the middleware answers probes")  # pragma: no cover
