"""Names of connection parameters: libpq's, and those that only drivers and frameworks know."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

ENVIRONMENT: Mapping[str, str | None] = {
    "service": "PGSERVICE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "dbname": "PGDATABASE",
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "client_encoding": "PGCLIENTENCODING",
    "options": "PGOPTIONS",
    "application_name": "PGAPPNAME",
    "fallback_application_name": None,
    "keepalives": None,
    "keepalives_idle": None,
    "keepalives_interval": None,
    "keepalives_count": None,
    "tcp_user_timeout": None,
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslcompression": "PGSSLCOMPRESSION",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcertmode": "PGSSLCERTMODE",
    "sslpassword": None,
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslsni": "PGSSLSNI",
    "requirepeer": "PGREQUIREPEER",
    "require_auth": "PGREQUIREAUTH",
    "min_protocol_version": "PGMINPROTOCOLVERSION",
    "max_protocol_version": "PGMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "gssdelegation": "PGGSSDELEGATION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "load_balance_hosts": "PGLOADBALANCEHOSTS",
}
"""Keywords that libpq 14 to 18 know and that make sense here, with the environment variable of each."""

SECRETS = ("password", "sslpassword")

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

CHOICES = {
    "sslmode": SSL_MODES,
    "channel_binding": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
"""What libpq takes for some of the keywords."""

# What `ssl=` means to asyncpg (the modes themselves), JDBC (true, false) and node-postgres (1, 0, no-verify).
_SSL = {**{mode: mode for mode in SSL_MODES}, "no-verify": "require"}
_SSL |= dict.fromkeys(("true", "1", "on", "yes"), "require") | dict.fromkeys(("false", "0", "off", "no"), "disable")

# Names that people's URLs carry for their own driver, ORM or hosting, and that change nothing about where the
# database is. Anything else that libpq does not know is refused: a misspelt sslmode must not go unnoticed.
_FOREIGN = frozenset(
    {
        # asyncpg and SQLAlchemy's dialect for it
        *("prepared_statement_cache_size", "prepared_statement_name_func", "statement_cache_size", "command_timeout"),
        *("max_cacheable_statement_size", "max_cached_statement_lifetime", "timeout", "direct_tls", "async_fallback"),
        # psycopg, psycopg2
        *("prepare_threshold", "autocommit", "async_", "executemany_mode", "use_native_hstore"),
        # Prisma, Rails, Django, Supabase, Vercel
        *("pgbouncer", "schema", "connection_limit", "pool_timeout", "socket_timeout", "sslaccept", "sslidentity"),
        *("pool", "encoding", "reconnect", "prepared_statements", "schema_search_path", "conn_max_age"),
        *("conn_health_checks", "supa", "workaround"),
        # Go's pq and pgx, Rust's sqlx, node-postgres, JDBC
        *("binary_parameters", "default_query_exec_mode", "statement_cache_capacity", "description_cache_capacity"),
        *("pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time"),
        *("pool_health_check_period", "statement-cache-capacity", "uselibpqcompat", "currentSchema", "loginTimeout"),
        *("socketTimeout", "prepareThreshold", "reWriteBatchedInserts", "stringtype"),
    }
)


def sort(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Parts libpq's parameters from those of drivers; raises ValueError for names that neither knows.

    Empty values count as absent. `ssl` becomes sslmode. No message holds a value.
    """
    parameters: dict[str, str] = {}
    foreign: dict[str, str] = {}
    for name, value in given.items():
        if "\0" in value:
            raise ValueError(f"the value of {name} contains a NUL character")
        if value and name == "ssl":
            _keep(parameters, "sslmode", _ssl_mode(value))
        elif name in ENVIRONMENT:
            if value:
                _keep(parameters, name, value)
        elif name in _FOREIGN:
            foreign[name] = value
        elif name != "ssl":
            raise ValueError(_unknown(name))
    return parameters, foreign


def _keep(parameters: dict[str, str], name: str, value: str) -> None:
    if parameters.setdefault(name, value) != value:
        raise ValueError("ssl and sslmode contradict each other; leave one of them out")
    if value not in CHOICES.get(name, (value,)):
        raise ValueError(f"{name} must be one of: {', '.join(CHOICES[name])}")
    if name == "connect_timeout" and not re.fullmatch(r"-?\d+", value, re.ASCII):
        raise ValueError("connect_timeout must be a whole number of seconds")


def _ssl_mode(value: str) -> str:
    mode = _SSL.get(value.lower())
    if mode is None:
        raise ValueError(f"ssl must be one of: {', '.join(SSL_MODES)}, true, false")
    return mode


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, ENVIRONMENT, n=1)
    return f"unknown connection parameter {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
