import math

import pytest

from bootstrapper.postgres.connection.sqlstates import is_loss, judge


@pytest.mark.parametrize(
    ("sqlstate", "message", "transient"),
    [
        ("57P03", "das Datenbanksystem startet", True),
        ("53300", "tut mir leid, schon zu viele Verbindungen", True),
        ("25006", "", True),
        ("57P01", "", True),
        ("53200", "out of memory", True),
        ("XX000", "cache lookup failed", True),
        ("28P01", "Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen", False),
        ("28000", "Rolle »app« hat keine Berechtigung zum Einloggen", False),
        ("3D000", "Datenbank »shop« existiert nicht", False),
        ("42501", "keine Berechtigung für Datenbank »shop«", False),
        ("42704", 'unrecognized configuration parameter "x"', False),
        ("0A000", "", False),
        ("08P01", "query_wait_timeout", True),
        ("08P01", "server login has been failing, try again later (server_login_retry)", True),
        ("08P01", "no more connections allowed (max_client_conn)", True),
        ("08P01", "client_login_timeout (server down)", True),
        ("08P01", "pgbouncer cannot connect to server", True),
        ("08P01", "the database system is starting up", True),
        ("08P01", "the database system is shutting down", True),
        ("08P01", "the database system is not yet accepting connections", True),
        ("08P01", "the database system is not accepting connections", True),
        ("08P01", "the database system is in recovery mode", True),
        ("08P01", "terminating connection due to administrator command", True),
        ("08P01", "terminating connection due to unexpected postmaster exit", True),
        ("08P01", "terminating connection because of crash of another server process", True),
        ("08P01", "password authentication failed", False),
        ("08P01", "no such database: shop", False),
        ("08P01", "unsupported startup parameter: options", False),
        ("08P01", "something new", False),
        ("XX000", "(EMAXCLIENTSESSION) max clients reached in session mode", True),
        ("XX000", "(ECHECKOUTTIMEOUT) unable to check out connection", True),
        ("XX000", "(ECIRCUITBREAKER) too many authentication errors", False),
    ],
)
def test_the_code_decides_and_text_only_where_poolers_have_no_code_of_their_own(
    sqlstate: str, message: str, transient: bool
) -> None:
    verdict = judge(sqlstate, message)
    assert (verdict.transient, verdict.patience_seconds) == (transient, math.inf)


@pytest.mark.parametrize(
    ("sqlstate", "message"),
    [
        ("55000", "database is not currently accepting connections"),
        ("XX000", "Tenant or user not found"),
        ("XX000", "(ENOTFOUND) tenant/user postgres.x not found"),
    ],
)
def test_some_errors_are_retryable_only_briefly(sqlstate: str, message: str) -> None:
    verdict = judge(sqlstate, message)
    assert verdict.transient
    assert verdict.patience_seconds <= 10


@pytest.mark.parametrize(
    ("sqlstate", "message", "is_lost"),
    [
        ("57P01", "Verbindung wird abgebrochen", True),
        ("08P01", "server conn crashed?", True),
        ("08P01", "the database system is not yet accepting connections", True),
        (None, "connection failed: FATAL:  the database system is in recovery mode", True),
        ("53300", "zu viele Verbindungen", True),
        (None, 'connection failed: FATAL:  too many connections for role "app"', True),
        ("08P01", "something new", False),
        ("08P01", "password authentication failed", False),
        (None, "the pipeline of the project was shutting down", False),
        ("42P01", "relation does not exist", False),
        (None, "", False),
    ],
)
def test_a_server_that_is_away_is_known_by_a_poolers_text_too(
    sqlstate: str | None, message: str, is_lost: bool
) -> None:
    assert is_loss(sqlstate, message) is is_lost
