"""The configuration of Alembic, with the address of the database and an installed driver."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from alembic.config import Config
from sqlalchemy.engine import make_url

from bootstrapper_worker.channel import Stop


def configuration(request: dict[str, Any]) -> Config:
    """Returns what Alembic's own command line would make of the project's files, with the address of the request."""
    arguments = Namespace(x=list(request["x"]), config=request["ini"], name=request["section"], quiet=False)
    try:
        config = Config(request["ini"], toml_file=request["toml"], ini_section=request["section"], cmd_opts=arguments)
    except TypeError:  # before Alembic 1.16 there was no pyproject.toml
        config = Config(request["ini"], ini_section=request["section"], cmd_opts=arguments)
        request["options"] = {**request["toml_options"], **request["options"]}
    for name, value in request["options"].items():
        config.set_main_option(name, value.replace("%", "%%"))
    config.attributes.update(request["attributes"])
    config.set_main_option("sqlalchemy.url", address(request).replace("%", "%%"))
    return config


def address(request: dict[str, Any]) -> str:
    """Returns the first address whose driver is installed; without any, the one without a driver."""
    found = next(installed(request["addresses"]), None)
    if found is not None:
        return str(found["url"])
    if request["bare_address"] is None:
        raise Stop("driver", f"driver {request['addresses'][0]['name']} is not installed for this interpreter")
    return str(request["bare_address"])


def other_address(request: dict[str, Any]) -> dict[str, str] | None:
    """Returns an address for the other kind of engine; without a driver, SQLAlchemy takes one that is not async."""
    used = next(installed(request["addresses"]), {"engine": "sync"})
    return next(installed(request["async_addresses" if used["engine"] == "sync" else "sync_addresses"]), None)


def installed(addresses: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    for each in addresses:
        if importlib.util.find_spec(each["module"]) is not None and _is_dialect(each["name"]):
            yield each


def _is_dialect(name: str) -> bool:
    try:
        make_url(f"postgresql+{name}://").get_dialect()
    except Exception:  # noqa: BLE001 - whatever the error, the driver cannot be used
        return False
    return True
