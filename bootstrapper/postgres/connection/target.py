"""Where a database is and how to log in, from a URL or from separate settings."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from itertools import cycle
from typing import Self

from bootstrapper.dataclass import dataclass
from bootstrapper.deadline import Deadline
from bootstrapper.postgres.connection import defaults, keywords, url

DEFAULT_PORT = 5432

_LIBPQ_DRIVERS = (None, "psycopg", "psycopg_async", "psycopg2", "psycopg2cffi")
_PLACE = ("host", "hostaddr", "port")
_LOCATION = ("host", "port", "dbname", "user", "password")


@dataclass(frozen=True)
class Host:
    """One of the servers that a target names.

    Attributes:
        name: A host name, an address, or the folder of a Unix socket; empty for libpq's default.
        address: The numeric address where it was given beside the name, else empty.
    """

    name: str
    address: str
    port: int

    @property
    def is_socket(self) -> bool:
        return not self.address and self.name.startswith(("/", "@"))

    @property
    def is_loopback(self) -> bool:
        place = self.address or self.name
        if self.is_socket or place.lower() in ("", "localhost"):
            return True
        try:
            return ipaddress.ip_address(place).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        place = self.name or self.address or "localhost"
        return f"[{place}]:{self.port}" if ":" in place else f"{place}:{self.port}"


@dataclass(frozen=True, repr=False)
class Target:
    """One database to connect to.

    What is left out stays out, so that libpq's own defaults hold. No repr, `where` or error message shows a password.

    Attributes:
        parameters: libpq keywords and values (host, port, dbname, user, password, sslmode, ...).
        driver: SQLAlchemy's driver, where the URL named one.
        driver_parameters: What only that driver or a framework knows; not sent to the server.
        source: Returns the target as it is now, if a part of it may change during a run, such as a rotated password.
    """

    parameters: Mapping[str, str]
    driver: str | None = None
    driver_parameters: Mapping[str, str] = field(default_factory=dict)
    source: Callable[[Deadline], Target] | None = field(default=None, compare=False)

    @classmethod
    def from_url(cls, text: str) -> Self:
        """Understands postgres://, postgresql:// and SQLAlchemy's postgresql+DRIVER://; raises ValueError.

        Parameters known to belong to a driver or framework, such as prepared_statement_cache_size or pgbouncer, are
        set aside; unknown names are refused, because a misspelt sslmode must not go unnoticed.
        """
        parsed = url.parse(text)
        return cls._checked(parsed.parameters, parsed.driver)

    @classmethod
    def from_parameters(cls, settings: Mapping[str, object]) -> Self:
        """Takes libpq's keywords; None and empty values count as absent. Raises ValueError."""
        return cls._checked({name: _text(value) for name, value in settings.items()}, None)

    @classmethod
    def _checked(cls, given: Mapping[str, str], driver: str | None) -> Self:
        parameters, foreign = keywords.sort(given)
        target = cls(parameters, driver, foreign)
        assert target.hosts
        return target

    @property
    def hosts(self) -> tuple[Host, ...]:
        """In the order in which they are tried; raises ValueError if names and ports do not match."""
        names, addresses, ports = (self._entries(name) for name in ("host", "hostaddr", "port"))
        count = max(len(names), len(addresses), 1)
        if len(names) not in (0, count) or len(addresses) not in (0, count):
            raise ValueError(f"{len(names)} hosts and {len(addresses)} addresses do not match")
        if len(ports) not in (0, 1, count):
            raise ValueError(f"{len(ports)} ports do not match with {count} hosts")
        numbers = [_port(text) for text in ports or [""]]
        entries = zip(names or [""] * count, addresses or [""] * count, cycle(numbers), strict=False)
        return tuple(Host(*entry) for entry in entries)

    def _entries(self, name: str) -> list[str]:
        return self.parameters[name].split(",") if name in self.parameters else []

    @property
    def host(self) -> str | None:
        return self.hosts[0].name or self.hosts[0].address or None

    @property
    def port(self) -> int:
        return self.hosts[0].port

    @property
    def dbname(self) -> str | None:
        return self.parameters.get("dbname")

    @property
    def user(self) -> str | None:
        return self.parameters.get("user")

    @property
    def password(self) -> str | None:
        return self.parameters.get("password")

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must never be shown."""
        return tuple(self.parameters[name] for name in keywords.SECRETS if name in self.parameters)

    @property
    def server(self) -> str:
        """`host:port`, or what libpq takes where no host is named; safe to print."""
        service = self.parameters.get("service")
        if service:
            return f"service {service}"
        taken = self._completed()
        if "host" in taken.parameters or "hostaddr" in taken.parameters:
            return ",".join(str(host) for host in taken.hosts)
        return f"local socket:{taken.port}"

    def _completed(self) -> Self:
        """With the place that libpq's own variables add; as it is where these do not fit it, as libpq will say."""
        if {"host", "port"} <= set(self.parameters):
            return self
        own = {name: value for name, value in defaults.read().items() if name in _PLACE}
        taken = replace(self, parameters={**own, **self.parameters})
        try:
            assert taken.hosts
        except ValueError:
            return self
        return taken

    @property
    def where(self) -> str:
        """`host:port/dbname`, safe to print."""
        return f"{self.server}/{self.dbname}" if self.dbname else self.server

    @property
    def database(self) -> str:
        """The name of the database, or what libpq takes where none is named: in the end, the user's name."""
        if self.dbname or "service" in self.parameters:
            return self.dbname or "that the service names"
        own = defaults.read()
        return own.get("dbname") or self.user or own.get("user") or "unknown"

    @property
    def is_loopback(self) -> bool:
        """Whether all hosts are this machine, as far as the target says itself."""
        return "service" not in self.parameters and all(host.is_loopback for host in self.hosts)

    def with_database(self, name: str) -> Self:
        return self.replacing(dbname=name)

    def replacing(self, **changes: str | None) -> Self:
        """Returns the same with other parameters; None leaves one out."""
        source = self.source
        renewed = None if source is None else lambda deadline: source(deadline).replacing(**changes)
        return replace(self, parameters=_merged(self.parameters, changes), source=renewed)

    def current(self, deadline: Deadline) -> Target:
        """Returns the target as it is now, for one login; raises UnreachableError if it cannot be found out."""
        return self if self.source is None else self.source(deadline)

    def conninfo(self, **extra: str | None) -> str:
        """libpq's keyword='value' string, password included; `extra` wins, None leaves one out."""
        merged = _merged(self.parameters, extra)
        return " ".join(f"{name}='{_escaped(value)}'" for name, value in merged.items())

    def url(self, driver: str | None = None, *, pooled: bool = False) -> str:
        """Returns a percent-encoded URL, password included, that libpq and SQLAlchemy read alike.

        Args:
            driver: SQLAlchemy's driver. The URL's own one gets its parameters back; drivers that do not stand on
                libpq get no libpq keyword but the encryption of asyncpg.
            pooled: Whether it is the address of a pooler; then asyncpg is told not to keep prepared statements.
        """
        if driver in _LIBPQ_DRIVERS:
            parameters = dict(self.parameters)
        else:
            parameters = {name: self.parameters[name] for name in _LOCATION if name in self.parameters}
        if driver == "asyncpg" and "sslmode" in self.parameters:
            parameters["ssl"] = self.parameters["sslmode"]
        if driver is not None and driver == self.driver:
            parameters |= self.driver_parameters
        if driver == "asyncpg" and pooled:
            parameters.setdefault("prepared_statement_cache_size", "0")
        return url.build(driver, parameters)

    def client_environment(self) -> dict[str, str]:
        """libpq's environment variables, so that no program needs a password among its arguments."""
        names = ((keywords.ENVIRONMENT.get(name), value) for name, value in self.parameters.items())
        return {variable: value for variable, value in names if variable is not None}

    def __repr__(self) -> str:
        return f"Target({self.where!r})"


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**16):
        raise ValueError("the port must be a number from 1 to 65535")
    return int(text)


def _merged(parameters: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**parameters, **changes}.items() if value is not None}


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
